# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a virtualenv, or add to it: ``virtualenv.py UV FOLDER INTERPRETER ARGUMENT...``, with the arguments of ``pip install``.

uv installs in a twentieth of the time that pip needs of a processor: it compiles nothing, Python does that on the first import. It gets
the settings of pip. If there is no uv at the path UV, or it fails, then pip does the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t

# The settings of pip that decide where packages come from, and uv's names for them.
SETTINGS = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}


def pip_settings(python: str = sys.executable) -> t.Dict[str, str]:
    """The settings of this interpreter's pip, from its files and the environment; several values have a newline between them."""
    done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    # The environment comes first in that list and wins, as it does with pip itself.
    found = dict(reversed(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", done.stdout, re.MULTILINE)))
    return {name: value.replace("\\n", "\n") for name, value in found.items()}


def uv_settings(settings: t.Mapping[str, str]) -> t.Dict[str, str]:
    """Variables with which uv takes packages from where pip does."""
    # The best version of all indexes, as pip; uv's own choice is the first index that knows the name.
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for name, value in settings.items():
        values = value.split()
        if name == "find-links":
            # pip ignores a folder that does not exist.
            values = [each for each in values if "://" in each or os.path.exists(each)]
        if name in SETTINGS and values:
            found[SETTINGS[name]] = ("," if name == "find-links" else " ").join(values)
    return found


def install_with_uv(uv: str, python: str, arguments: t.Sequence[str]) -> bool:
    """Return whether uv could install into the virtualenv of this interpreter. pip comes with it, as in any virtualenv."""
    try:
        settings = {**uv_settings(pip_settings()), **os.environ}
        done = subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "pip", *arguments], env=settings, check=False)
    except (OSError, subprocess.CalledProcessError):
        return False
    return done.returncode == 0


def main(uv: str, folder: str, interpreter: str, arguments: t.Sequence[str]) -> int:
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([interpreter, "-m", "venv", "--without-pip", "--clear", folder], check=True)
    if install_with_uv(uv, python, arguments):
        return 0
    print("Without uv, because it is not there or failed: pip takes longer", flush=True)
    subprocess.run([python, "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=True)
    return subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "-qq", "install", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], sys.argv[4:]))
