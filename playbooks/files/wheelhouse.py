# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a folder of wheels for each kind of host: ``wheelhouse.py FOLDER [--check] < hosts.json``.

The input is a list of what hosts are and need: ``{"release": "python3.9-glibc2.31-x86_64", "python": "3.9.2",
"requirements": ["cryptography>=3.4"], "optional": ["isal>=1.5.1"]}``; a release is a kind of host. The wheels of a kind are in
``FOLDER/RELEASE``, with the exact versions in ``requirements.txt``. pip evaluates environment markers for the interpreter that runs it,
so uv chooses the versions, for the interpreter, the C library and the machine of the hosts. pip then downloads these wheels.

Prints JSON: ``made``, by release, the versions in a folder that is new or differs; ``lines``, what to show. If this Python does not
have uv and pip, they come from the package index of this machine into a temporary virtualenv.
"""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
import venv

RELEASE = re.compile(r"python3\.\d+-glibc2\.(\d+)-(x86_64|aarch64)")
# The C libraries that uv knows; a wheel for an older one works, too. https://docs.astral.sh/uv/reference/cli/#uv-pip-compile--python-platform
GLIBC = (17, 28, *range(31, 41))
PINS = "requirements.txt"
LAST_LINES, LONGEST = 5, 1000
"""Of what a tool printed when it failed: lines, characters."""


class Failed(Exception):
    """The wheels are not available; the text gives the reason."""


def run(*argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        # pip lists every version that it does not take.
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(" / ".join(line for line in lines[-LAST_LINES:] if "Ignored the following" not in line)[-LONGEST:])
    return done.stdout


class Tools:
    """pip and uv, with the index that pip is configured to use."""

    def __init__(self, folder):
        self.python = sys.executable
        here = all(importlib.util.find_spec(name) for name in ("pip", "uv"))
        if not here:
            venv.create(folder, with_pip=True)
            self.python = str(pathlib.Path(folder) / "bin" / "python")
        self.pip = (self.python, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
        if not here:
            run(*self.pip, "install", "uv")
        self.environment = dict(os.environ)
        # uv does not read the configuration of pip.
        for of_uv, of_pip in (("UV_DEFAULT_INDEX", "index-url"), ("UV_INDEX", "extra-index-url"), ("SSL_CERT_FILE", "cert")):
            variable = "PIP_" + of_pip.upper().replace("-", "_")
            asked = subprocess.run([*self.pip, "config", "get", "global." + of_pip], capture_output=True, text=True, check=False)
            found = os.environ.get(variable) or asked.stdout.strip()
            if found:
                self.environment.setdefault(of_uv, found)

    def pins(self, requirements, python, glibc, machine):
        """``name==version`` of everything that is needed, one a line."""
        known = [each for each in GLIBC if each <= glibc]
        if not known:
            raise Failed("glibc 2.%d is older than 2.%d, for which there are no wheels" % (glibc, GLIBC[0]))
        uv = (self.python, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-config", "--only-binary", ":all:")
        platform = "%s-manylinux_2_%d" % (machine, known[-1])
        return run(*uv, "--python-version", python, "--python-platform", platform, "-", input="\n".join(requirements), env=self.environment)

    def download(self, pins, folder, python, glibc, machine):
        folder.mkdir(parents=True)
        (folder / PINS).write_text(pins, encoding="utf-8")
        platforms = ["manylinux_2_%d_%s" % (minor, machine) for minor in range(glibc, 4, -1)]
        platforms += ["manylinux%s_%s" % (name, machine) for name in ("2014", "2010", "1")]
        cp = "cp" + "".join(python.split(".")[:2])
        argv = [*self.pip, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), "--requirement", str(folder / PINS)]
        argv += ["--implementation=cp", "--python-version=" + python, "--abi=" + cp, "--abi=abi3", "--abi=none"]
        run(*argv, *("--platform=" + each for each in platforms))


class Kind(t.NamedTuple):
    """One kind of host: release, the oldest full version of its Python, and what its hosts need."""

    release: str
    python: str
    requirements: t.List[str]
    optional: t.List[str]


def kinds_of(hosts):
    """The kinds of the hosts, sorted."""
    by_release = {}
    for host in hosts:
        by_release.setdefault(host["release"], []).append(host)
    for release, alike in sorted(by_release.items()):
        python = min((host["python"] for host in alike), key=lambda version: [int(number) for number in version.split(".")])
        needs = [sorted({each for host in alike for each in host[name]}) for name in ("requirements", "optional")]
        yield Kind(release, python, *needs)


def make(tools, kind, folder, check):
    """The versions that the folder of this kind has, whether it was made, and the optional libraries that were left out."""
    match = RELEASE.fullmatch(kind.release)
    if not match:
        raise Failed("there are no wheels for such hosts; they need Python 3, glibc, and x86_64 or aarch64")
    of = kind.python, int(match[1]), match[2]
    wanted, left_out = kind.requirements, []
    pins = tools.pins(wanted, *of)
    for requirement in kind.optional:
        try:
            pins = tools.pins([*wanted, requirement], *of)
        except Failed:
            left_out.append(requirement)
        else:
            wanted = [*wanted, requirement]
    target = folder / kind.release
    if (target / PINS).is_file() and (target / PINS).read_text(encoding="utf-8") == pins:
        return pins.split(), False, left_out
    if not check:
        # Under its name only when it is complete: a run that is killed leaves the folder as it was, or none.
        unfinished = folder / (kind.release + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            tools.download(pins, unfinished, *of)
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return pins.split(), True, left_out


def main():
    folder, check, kinds = pathlib.Path(sys.argv[1]), "--check" in sys.argv[2:], list(kinds_of(json.load(sys.stdin)))
    made, lines = {}, []
    with tempfile.TemporaryDirectory(prefix="log-archive-wheelhouse-") as temporary:
        try:
            tools = Tools(temporary)
        except Failed as error:
            sys.exit("uv and pip cannot be installed into a temporary virtualenv: %s" % error)
        for kind in kinds:
            try:
                versions, new, left_out = make(tools, kind, folder, check)
            except Failed as error:
                sys.exit("%s: %s" % (kind.release, error))
            state = "unchanged" if not new else "would be made" if check else "made"
            lines.append("%s: %s: %s" % (folder / kind.release, state, " ".join(versions)))
            if left_out:
                lines.append("  without %s: there is no wheel (optional, only for speed)" % ", ".join(left_out))
            if new:
                made[kind.release] = versions
    print(json.dumps({"made": made, "lines": lines}))


if __name__ == "__main__":
    main()
