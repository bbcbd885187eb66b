# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run 'ansible-test sanity' in virtualenvs on an installed collection: ``sanity.py COLLECTION_FOLDER HOME [ARGUMENT...]``.

ansible-test downloads a bootstrap script for pip from its own server, which many networks do not let through. Here pip comes from
the package index that pip is set up for, as everything else. HOME is a folder that ansible-test gets as its home, for its caches.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from find_python import candidates  # noqa: E402
from virtualenv import pip_settings  # noqa: E402

GET_PIP = """\
import glob, os, sys
wheel = glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-%s-*.whl"))[0]
sys.path.insert(0, wheel)
from pip._internal.cli.main import main
arguments = [name for name in sys.argv[1:] if name not in ("--no-setuptools", "--no-wheel") and not name.startswith("pip==")]
sys.exit(main(["install", "--upgrade", "--force-reinstall", wheel] + arguments))
"""


OLDEST = (3, 9)


def wanted_pip() -> str:
    """Version of pip that this ansible-test puts into its virtualenvs."""
    import ansible_test

    source = pathlib.Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    match = re.search(r"\bpip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if match is None:
        raise SystemExit("this ansible-test does not name the version of pip that it needs: %s" % source)
    return match[1]


def prepare(home: pathlib.Path) -> None:
    """Put pip's bootstrap and its configuration into ``home``."""
    version = wanted_pip()
    cache = home / ".ansible" / "test" / "cache"
    script = cache / ("get_pip_%s.py" % version.replace(".", "_"))
    if not script.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
        subprocess.run([*pip, "download", "--no-deps", "--dest", str(cache), "pip==%s" % version], check=True)
        script.write_text(GET_PIP % version, encoding="utf-8")
    # ansible-test hides the environment from pip, and pip's own configuration may be in the real home.
    config = home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        "[global]\nquiet = 2\n" + "".join("%s = %s\n" % (name, value.replace("\n", "\n ")) for name, value in pip_settings().items()),
        encoding="utf-8",
    )


def main() -> int:
    """Run it and return its exit status."""
    collection, home = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    prepare(home)
    # ansible-test looks for each Python version that it checks against, and trips over pyenv's shims.
    programs = home / "bin"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    found = candidates()
    # The oldest Python that hosts may have: to import every file alone takes long. tests/newest imports them with the newest, all at once.
    targets = sorted({OLDEST} & set(found)) or [max(found)]
    for version in {*targets, sys.version_info[:2]} & set(found):
        paths = found[version]
        (programs / ("python%d.%d" % version)).symlink_to(os.path.realpath(paths[0]))
    path = [os.path.dirname(sys.executable), str(programs)]
    path += [name for name in os.environ["PATH"].split(os.pathsep) if os.path.basename(name) != "shims"]
    command = [sys.executable, os.path.join(os.path.dirname(sys.executable), "ansible-test"), "sanity"]
    command += ["--controller", "origin:python=venv/%d.%d" % sys.version_info[:2]]
    command += [option for version in targets for option in ("--target-python", "%d.%d" % version)] + sys.argv[3:]
    # On two processors pylint starts two processes, and each parses nearly every file: together they take a third more time of a processor.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        # Below a git checkout ansible-test looks at what git tracks only, and an installed collection is not tracked.
        copy = shutil.copytree(collection, os.path.join(folder, "ansible_collections", "infra_ops", "log_archive"))
        return subprocess.run(command, cwd=copy, env=dict(os.environ, HOME=str(home), PATH=os.pathsep.join(path)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
