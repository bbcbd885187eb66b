# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role keys on a real host. Every play runs with -vvv, and nothing that it prints holds a key or the password of the copies.

The tests of this file use one host one after the other; each begins with what it says.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from fleet.roles import Played, difference, play, snapshot

KEYRING = "/etc/log-archive/keyring"
PASSWORD = "the password of the copies"


class Site:
    """The host, the folder of the copies on the controller, and how to run the role."""

    def __init__(self, host: t.Any, folder: pathlib.Path) -> None:
        self.host = host
        self.escrow = folder / "escrow"
        self.secrets = {PASSWORD}

    def play(self, *arguments: str, escrow: bool = True, **variables: t.Any) -> Played:
        """Run the role and look for secrets in what it prints."""
        if escrow:
            variables = {"log_archive_escrow": str(self.escrow), "log_archive_escrow_vault_secret": PASSWORD, **variables}
        played = play(self.host, ["keys"], "-vvv", *arguments, **variables)
        self.learn()
        # As it is, and as slurp carries it: base64 of what may be followed by a newline.
        forms = [form for secret in self.secrets for form in (secret, base64.b64encode(secret.encode())[:32].decode())]
        assert not [form for form in forms if form in played.output], "a secret is in the output"
        return played

    def learn(self) -> None:
        """Note every key of the host."""
        folder = self.host.path(KEYRING)
        self.secrets.update(path.read_text(encoding="ascii").strip() for path in folder.rglob("*.key"))

    @property
    def ids(self) -> t.Set[str]:
        """The ids of the host's keys."""
        return {path.stem for path in self.host.path(KEYRING).rglob("*.key")}

    @property
    def current(self) -> str:
        """The id of the host's current key."""
        return (self.host.path(KEYRING) / "current").read_text(encoding="ascii").strip()

    @property
    def copies(self) -> t.Dict[str, pathlib.Path]:
        """The copies of the host's keys by id."""
        return {path.stem: path for path in (self.escrow / self.host.name).glob("*.key")}

    def remove_keyring(self) -> None:
        """As a host that is built anew."""
        shutil.rmtree(self.host.path(KEYRING), ignore_errors=True)


@pytest.fixture(scope="module")
def site(host: t.Any, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(host, tmp_path_factory.mktemp("keys"))


def test_check_mode_on_a_fresh_host_changes_nothing(site: Site) -> None:
    before = snapshot(site.host)
    played = site.play("--check", "--diff")
    assert played.code == 0 and not difference(before, snapshot(site.host)), played.output
    assert played.changed == 2 and "a new key, with a copy" in played.output
    assert "+++ after: /etc/log-archive\n" in played.output and "+++ after: %s\n" % KEYRING in played.output
    assert not site.escrow.exists() and not site.host.path("/etc/log-archive").exists()


def test_a_host_gets_a_key_of_its_own_and_is_told_that_there_is_no_copy(site: Site) -> None:
    site.host.run(["useradd", "--system", "--home-dir", "/var/lib/log-archive", "--shell", "/usr/sbin/nologin", "log-archive"])
    played = site.play(escrow=False)
    assert played.code == 0, played.output
    assert "WARNING: no escrow is configured, so the only copy of the keys of %s is on the host itself" % site.host.name in played.output
    assert site.ids == {site.current}
    modes = site.host.run(["find", KEYRING, "-printf", "%M %u %g\\n"]).stdout
    assert set(modes.splitlines()) == {"drwx------ log-archive log-archive", "-rw------- log-archive log-archive"}


def test_the_keyring_is_not_removed_while_there_is_no_copy(site: Site) -> None:
    played = site.play(escrow=False, keys_state="absent")
    assert played.code == 2 and "there is no copy of %s in an escrow" % site.current in played.output
    played = site.play(keys_state="absent")
    assert played.code == 2 and "there is no copy of %s in %s" % (site.current, site.escrow) in played.output
    assert site.ids and not site.copies


def test_a_key_that_is_there_is_copied_and_nothing_changes_a_second_time(site: Site) -> None:
    played = site.play("--diff", keys_escrow_vault_secret="")
    assert (played.code, played.changed, set(site.copies)) == (0, 1, site.ids), played.output
    assert "+%s (copy)" % site.current in played.output
    path = site.copies[site.current]
    assert path.read_text(encoding="ascii") == (site.host.path(KEYRING) / path.name).read_text(encoding="ascii")
    assert [oct(each.stat().st_mode & 0o7777) for each in (site.escrow, path.parent, path)] == ["0o700", "0o700", "0o600"]
    before = snapshot(site.host), path.stat()
    assert site.play("--diff", keys_escrow_vault_secret="", keys_max_age="90d")[::2] == (0, 0)
    assert not difference(before[0], snapshot(site.host)) and path.stat() == before[1]


def test_a_key_that_is_too_old_is_replaced_and_the_copy_opens_with_ansible_vault(site: Site, tmp_path: pathlib.Path) -> None:
    old = site.current
    times = site.host.path(KEYRING + "/keyring.json")
    times.write_text(json.dumps({"created": {old: int(time.time()) - 91 * 86400}}), encoding="ascii")
    played = site.play(keys_max_age="90d")
    assert played.code == 0 and site.current != old, played.output
    assert site.ids == set(site.copies) == {old, site.current}
    assert "the copy %s is not encrypted; run: ansible-vault encrypt" % old in played.output
    assert site.copies[site.current].read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    password = tmp_path / "password"
    password.write_text(PASSWORD, encoding="ascii")
    argv = [pathlib.Path(sys.executable).with_name("ansible-vault"), "view", "--vault-password-file", password, site.copies[site.current]]
    shown = site.host.fleet.run(argv, env=dict(site.host.fleet.environment(), PAGER="cat"))
    assert shown.stdout.strip() == (site.host.path(KEYRING) / (site.current + ".key")).read_text(encoding="ascii").strip(), shown.stderr


def test_a_new_key_is_copied_before_the_host_has_it(site: Site) -> None:
    before, copies = site.current, set(site.copies)
    # The import waits for this lock, so the play can be killed just before it.
    lock = ["flock", KEYRING + "/.lock", "sh", "-c", "echo held; exec sleep 600"]
    holder = subprocess.Popen(in_host(site.host, lock), stdout=subprocess.PIPE, text=True)
    playing = start(site, keys_rotate=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        wait_for(lambda: set(site.copies) - copies, playing)
        assert (site.current, site.ids) == (before, copies), "the host has a key of which there may be no copy"
    finally:
        os.killpg(t.cast(int, playing.pid), signal.SIGKILL)
        playing.join()
        site.host.run(["pkill", "-f", "^sleep 600$"])
        holder.wait()
    played = site.play(keys_rotate=True)
    assert played.code == 0 and site.current not in copies | {before}, played.output
    assert site.ids <= set(site.copies)
    assert not [path for path in (site.escrow / site.host.name).iterdir() if path.name.startswith(".log-archive-")]


def test_a_host_gets_no_new_key_while_the_escrow_cannot_be_written(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    before = site.ids, site.current
    played = site.play(keys_rotate=True, log_archive_escrow=str(tmp_path / "file" / "escrow"))
    assert played.code == 2 and "cannot use the escrow: " in played.output and ": Not a directory" in played.output
    assert (site.ids, site.current) == before


def test_a_host_that_was_built_anew_gets_its_keys_back_and_a_fresh_one(site: Site) -> None:
    before = site.ids
    site.remove_keyring()
    played = site.play(keys_restore_from_escrow=True)
    assert played.code == 0, played.output
    assert before <= site.ids and site.current not in before and site.ids == set(site.copies)
    for id in site.ids:
        assert keyring.load(str(site.host.path(KEYRING)), id).id == id
    assert site.play(keys_restore_from_escrow=True)[::2] == (0, 0)


def test_a_copy_that_is_not_its_key_counts_for_nothing(site: Site) -> None:
    good, other = sorted(site.ids)[:2]
    path = site.copies[good]
    content = path.read_bytes()
    try:
        path.write_bytes(site.copies[other].read_bytes())
        played = site.play(keys_state="absent")
        assert played.code == 2 and "the copy of a key is damaged: %s does not hold the key of its name" % path in played.output
        assert path.read_bytes() == site.copies[other].read_bytes(), "a copy was overwritten"
    finally:
        path.write_bytes(content)
    played = site.play(keys_state="absent", log_archive_escrow_vault_secret="another")
    assert played.code == 2 and "does not open with this vault_secret" in played.output
    assert good in site.ids


def test_the_keyring_is_removed_where_every_key_has_a_copy(site: Site) -> None:
    before = site.ids
    assert site.play("--check", keys_state="absent")[::2] == (0, 1) and site.ids == before
    assert site.play(keys_state="absent")[::2] == (0, 1)
    assert not site.host.path(KEYRING).exists() and before <= set(site.copies)
    assert site.play(keys_state="absent")[::2] == (0, 0)


def test_keys_that_are_given_are_on_the_host_and_the_first_is_current(site: Site) -> None:
    keys = [base64.urlsafe_b64encode(keyring.generate_key()).decode() for _count in range(2)]
    ids = [keyring.key_id(base64.urlsafe_b64decode(key)) for key in keys]
    site.secrets.update(keys)
    assert site.play(keys_import=keys).code == 0
    assert site.ids == set(ids) and site.current == ids[0] and set(ids) <= set(site.copies)
    assert site.play(keys_import=keys, escrow=False)[::2] == (0, 0)
    played = site.play(keys_import=keys, keys_rotate=True)
    assert played.code == 2 and "keys_import sets the current key" in played.output
    # Not copied, and asked for: gone.
    shutil.rmtree(site.escrow)
    assert site.play(keys_state="absent", keys_remove_unescrowed=True)[::2] == (0, 1)
    assert not site.host.path(KEYRING).exists()


def in_host(host: t.Any, argv: t.Sequence[str]) -> t.List[str]:
    """The command as it is run from outside."""
    return ["nsenter", "--target=%d" % host.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--", *argv]


def start(site: Site, **variables: t.Any) -> multiprocessing.process.BaseProcess:
    """Begin a play that can be killed with all that it has started."""

    def playing() -> None:
        os.setsid()
        site.play(**variables)

    process = multiprocessing.get_context("fork").Process(target=playing)
    process.start()
    return process


def wait_for(condition: t.Callable[[], t.Any], playing: multiprocessing.process.BaseProcess) -> None:
    """Return once it holds; fail where the play ends before."""

    def look() -> bool:
        if condition():
            return True
        assert playing.is_alive(), "the play has ended"
        return False

    lab.wait_until(look, "it did not come to that", 120, pause=0.02)
