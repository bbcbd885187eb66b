# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of this folder, on real repositories."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import typing as t
import zipfile

import pytest
import yaml
from lint import inputs_page, oldest, virtualenv

HERE = pathlib.Path(__file__).resolve().parent


class Repository:
    """A repository with a module, at version 0.1.0, not released."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("galaxy.yml", "version: 0.1.0\n")
        self.write("changelogs/changelog.yaml", "releases: {}\n")
        self.write("plugins/modules/log_select.py", "")
        self.write("plugins/module_utils/_engine/base/errors.py", "")

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.folder), *identity, *arguments], check=True, capture_output=True)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def fragment(self, name: str, text: str) -> None:
        self.write("changelogs/fragments/" + name, "minor_changes:\n  - %s\n" % text)

    def commit(self, subject: str = "all: change something") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)

    def release(self, tag: str) -> None:
        """Release 0.1.0 with all fragments that there are."""
        names = [path.name for path in (self.folder / "changelogs" / "fragments").glob("*.yml")]
        self.write("changelogs/changelog.yaml", "releases: {0.1.0: {fragments: [%s]}}\n" % ", ".join(names))
        self.commit("release: 0.1.0")
        self.git("tag", tag)

    def check(self, script: str, folder: t.Optional[pathlib.Path] = None) -> t.List[str]:
        """The lines that the script prints. Its status must be 1 exactly if it prints something."""
        command = [sys.executable, str(HERE / script), str(folder or self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == "" and done.returncode == bool(done.stdout)
        return done.stdout.splitlines()


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.fragment("select.yml", "log_select module - selects logs.")
    made.commit()
    return made


def test_every_new_thing_is_named_in_a_fragment(repository: Repository) -> None:
    assert repository.check("fragments.py") == []
    for path in ("plugins/modules/web_dump.py", "plugins/filter/rows.py", "roles/keys/tasks/main.yml", "playbooks/site.yml"):
        repository.write(path, "")
    # Not for users.
    for path in ("plugins/module_utils/_module.py", "roles/_common/tasks/main.yml", "playbooks/tasks/check.yml"):
        repository.write(path, "")
    names = [line.split()[4].rstrip(",") for line in repository.check("fragments.py")]
    assert names == ["keys", "rows", "site", "web_dump"]


@pytest.mark.parametrize("tag", ["0.1.0", "v0.1.0"])
def test_a_change_after_a_release_needs_a_fragment_of_its_own(repository: Repository, tag: str) -> None:
    repository.release(tag)
    assert repository.check("fragments.py") == []
    repository.write("README.md", "not code")
    assert repository.check("fragments.py") == []
    repository.write("plugins/module_utils/_engine/base/errors.py", "changed = True\n")
    (missing,) = repository.check("fragments.py")
    assert "plugins/module_utils/_engine/base/errors.py" in missing
    repository.commit()
    assert repository.check("fragments.py") == [missing]
    repository.fragment("errors.yml", "errors - are clearer.")
    assert repository.check("fragments.py") == []


def test_the_next_version_needs_fragments_that_no_release_has_used(repository: Repository) -> None:
    repository.release("v0.1.0")
    repository.write("galaxy.yml", "version: 0.2.0\n")
    repository.write("roles/keys/tasks/main.yml", "")
    first, second = repository.check("fragments.py")
    assert "names keys" in first and "There is no changelog fragment" in second
    repository.fragment("keys.yml", "keys role - makes keys.")
    assert repository.check("fragments.py") == []


def test_a_shallow_clone_has_no_tags_and_checks_what_it_can(repository: Repository, tmp_path: pathlib.Path) -> None:
    def clone(name: str) -> pathlib.Path:
        command = ["git", "clone", "--quiet", "--depth=1", "--no-tags", repository.folder.as_uri(), str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
        return tmp_path / name

    repository.write("plugins/modules/web_dump.py", "")
    repository.commit()
    assert "names web_dump" in repository.check("fragments.py", clone("unreleased"))[0]
    repository.fragment("dump.yml", "web_dump module - downloads dumps.")
    repository.release("v0.1.0")
    assert repository.check("fragments.py", clone("released")) == []
    repository.write("galaxy.yml", "version: 0.2.0\n")
    repository.write("plugins/modules/web_dump.py", "changed = True\n")
    repository.commit()
    assert "There is no changelog fragment" in repository.check("fragments.py", clone("changed"))[0]
    repository.fragment("faster.yml", "web_dump module - is faster.")
    repository.commit()
    assert repository.check("fragments.py", clone("complete")) == []


def test_subjects_of_commits(repository: Repository) -> None:
    repository.commit("Whatever is on main is not checked")
    repository.git("checkout", "--quiet", "-b", "work")
    assert repository.check("commits.py") == []
    for subject in ("stores: retry after a disconnect", "base,crypto: refuse partial blocks", "tests/lab: start faster"):
        repository.commit(subject)
    assert repository.check("commits.py") == []
    wrong = ["Fix things", "stores: retry after a disconnect.", "stores: " + "x" * 65]
    for subject in wrong:
        repository.commit(subject)
    assert [line for line in repository.check("commits.py") if not line.startswith("  ")] == wrong[::-1]
    subprocess.run(["git", "-C", str(repository.folder), "branch", "--quiet", "-D", "main"], check=True, capture_output=True)
    assert repository.check("commits.py") == []


def test_the_oldest_versions_are_the_lower_bounds_with_their_markers() -> None:
    text = '# A comment.\na>=1.2\nb[x] >= 3 # why\nc>=1.5.1; python_version < "3.13"\nd>=8,<9\n-r other.txt\ne~=2\nf\n'
    assert oldest.oldest(text) == ["a==1.2", "b==3", 'c==1.5.1; python_version < "3.13"', "d==8"]
    every = (HERE.parents[1] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert len(oldest.oldest("\n".join(every))) == len([line for line in every if line and not line.startswith("#")])


def test_uv_takes_packages_from_where_pip_does(tmp_path: pathlib.Path) -> None:
    settings = {
        "cert": "/etc/ca.crt",
        "index-url": "https://first.example/simple",
        "extra-index-url": "https://second.example/simple\nhttps://third.example/simple",
        "find-links": "%s /no/such/folder https://fourth.example/" % tmp_path,
        "no-input": "1",
        "trusted-host": "",
    }
    assert virtualenv.uv_settings(settings) == {
        "SSL_CERT_FILE": "/etc/ca.crt",
        "UV_DEFAULT_INDEX": "https://first.example/simple",
        "UV_FIND_LINKS": "%s,https://fourth.example/" % tmp_path,
        "UV_INDEX": "https://second.example/simple https://third.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


@pytest.mark.parametrize("program", ["uv", "no-such-program"])
def test_a_virtualenv_is_made_and_kept_with_uv_and_without(
    program: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From a folder of wheels that only pip's settings name."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    uv = os.path.join(os.path.dirname(sys.executable), program)
    folder = tmp_path / "venv"
    for name in ("pip", "first", "second"):
        with zipfile.ZipFile(tmp_path / ("%s-99.0-py3-none-any.whl" % name), "w") as wheel:
            wheel.writestr(name + ".py", "")
            wheel.writestr(name + "-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: 99.0\n" % name)
            wheel.writestr(name + "-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(name + "-99.0.dist-info/RECORD", "")
    assert virtualenv.main(uv, str(folder), sys.executable, ["first==99"]) == 0
    assert virtualenv.main(uv, str(folder), sys.executable, ["second"]) == 0
    names = subprocess.run(
        [folder / "bin" / "python", "-c", "import first, pip, second; print(pip.__file__)"], capture_output=True, check=True
    )
    assert os.fsencode(folder) in names.stdout
    assert ("Without uv" in capfd.readouterr().out) == (program != "uv")


def test_the_page_of_inputs_has_every_input_and_shared_variable() -> None:
    checkout = HERE.parents[1]
    page = (checkout / "docs" / "inputs.md").read_text(encoding="utf-8")
    assert page == inputs_page.with_tables(checkout), "run: python3 tests/lint/inputs_page.py"
    defaults = (checkout / "roles" / "log_archive" / "defaults" / "main.yml").read_text(encoding="utf-8")
    shared = set(re.findall(r"^(log_archive_\w+):", defaults, re.MULTILINE))
    assert len(shared) > 15
    assert {name for name in shared if "`%s`" % name not in page} == set()


def test_the_version_is_the_same_everywhere() -> None:
    checkout = HERE.parents[1]
    version = yaml.safe_load((checkout / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    assert '__version__ = "%s"\n' % version in (checkout / "plugins/module_utils/_engine/__init__.py").read_text(encoding="utf-8")
    assert "infra_ops-log_archive-%s.tar.gz" % version in (checkout / "docs/execution-environment.yml").read_text(encoding="utf-8")
    releases = yaml.safe_load((checkout / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]
    assert len(releases[version]["changes"]["release_summary"]) > 80


def test_the_quick_ansible_lint_reports_bad_syntax_and_broken_rules(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.yml").write_text("---\n- name: Broken\n  hosts: all\n  taks: []\n", encoding="utf-8")
    (tmp_path / "short.yml").write_text("---\n- name: Short\n  hosts: all\n  tasks:\n    - name: Ping\n      ping:\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["PATH"] = "%s:%s" % (pathlib.Path(sys.executable).parent, environment["PATH"])
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(HERE.parents[1] / "build" / "collections")
    argv = [sys.executable, HERE / "ansible_lint.py", "--offline", "--format=pep8", "--nocolor", "broken.yml", "short.yml"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    broken, short = sorted(done.stdout.splitlines())
    assert broken.startswith("broken.yml:4") and "syntax-check" in broken and "'taks'" in broken
    assert short.startswith("short.yml:6") and "fqcn" in short
