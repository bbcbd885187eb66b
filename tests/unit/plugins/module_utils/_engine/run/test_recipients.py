# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job with recipients: who can open its archives, what a host without a key still knows of them, and attacks on wrapped keys."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pathlib
import re
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, recipients
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import source_at
from rigs import forgery
from rigs.archives import PERIOD
from rigs.holdings import KEYS
from rigs.host import JOB, NAME, Host, files_below
from rigs.recipients import AGE, HPKE, KINDS, identity_file
from rigs.runs import lose

pytest.importorskip("cryptography")
STATUS = ("status", "--max-age", "9999d")


class Called(t.NamedTuple):
    code: int
    output: str
    error: str


class Site:
    """A host with a job for recipients: ``opener`` and ``other`` are identity files, ``stranger`` is that of nobody."""

    def __init__(self, folder: pathlib.Path, kind: str = HPKE, keyring: bool = False, **changes: t.Any) -> None:
        self.host = Host(folder)
        self.host.write_logs(12, 13, 14)
        self.recipient, self.opener = identity_file(folder, kind, "opener")
        self.second, self.other = identity_file(folder, HPKE, "other")
        self.outsider, self.stranger = identity_file(folder, kind, "stranger")
        self.encryption: t.Dict[str, t.Any] = {"recipients": [self.recipient, self.second]}
        if keyring:
            self.encryption["keyring"] = str(self.host.keyring)
        self.changes = dict(changes, encryption=self.encryption)
        self.host.write_document(**self.changes)

    def run(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        return self.host.run(**{**self.changes, **changes})

    def call(self, *arguments: str) -> Called:
        output, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
            code = cli.main([*arguments, "--config", str(self.host.folder / "jobs")])
        return Called(code, output.getvalue(), error.getvalue())

    def restore(self, *arguments: str, to: str = "to") -> Called:
        return self.call("restore", "--since", "2024-01-01", "--to", str(self.host.folder / to), *arguments)

    def restored(self, to: str = "to") -> t.List[bytes]:
        return [(self.host.folder / to / name).read_bytes() for name in files_below(self.host.folder / to)]

    def logs(self) -> t.List[bytes]:
        return [path.read_bytes() for path in sorted(self.host.logs.iterdir())]

    def manifest(self, key: str) -> t.Dict[str, t.Any]:
        return forgery.read_manifest(self.host.store, key)


@pytest.fixture
def site(host: Host) -> Site:
    site = Site(host.folder / "host")
    assert site.run()["exit_code"] == 0
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_the_host_keeps_no_key_and_each_identity_opens(kind: str, host: Host) -> None:
    site = Site(host.folder / "host", kind)
    assert site.run()["exit_code"] == 0
    ids = {site.manifest(key)["encryption"]["key_id"] for key in KEYS}
    assert len(ids) == 3
    closed = site.restore()
    assert (
        closed.code != 0
        and "no key for it is available" in closed.error
        and site.recipient in closed.error
        and "--identity" in closed.error
    )
    assert files_below(site.host.folder / "to") == []
    for number, identity in enumerate((site.opener, site.other)):
        assert site.restore("--identity", identity, to=str(number)).code == 0
        assert site.restored(str(number)) == site.logs()


def test_with_a_keyring_too_the_host_opens_its_archives(host: Host) -> None:
    site = Site(host.folder / "host", keyring=True)
    assert site.run()["exit_code"] == 0
    assert site.restore().code == 0 and site.restored() == site.logs()
    assert {row["authenticated"] for row in json.loads(site.call("verify", "--level", "authenticated", "--json").output)} == {True}
    assert site.restore("--identity", site.other, to="second").code == 0
    lose(site.host, "state")
    assert site.run(delete_sources=True)["archives"] == []


def test_the_token_opens_with_any_fernet_library(site: Site) -> None:
    """The key that ``age -d`` or HPKE gives is a Fernet key, in the form that every library reads."""
    import base64
    import tarfile

    from cryptography.fernet import Fernet

    (identity,) = recipients.read_identities([site.opener])
    wrapped = next(one for one in site.manifest(KEYS[0])["encryption"]["wrapped"] if one["recipient"] == site.recipient)
    name = manifests.bound_name(NAME, JOB, KEYS[0].rpartition("/")[2])
    key = base64.urlsafe_b64encode(recipients.unwrap(identity, base64.b64decode(wrapped["key"]), name, "x"))
    tgz = Fernet(key).decrypt((site.host.store / KEYS[0]).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(tgz)) as tar:
        assert tar.extractfile(tar.getnames()[0]).read() == site.logs()[0]  # type: ignore[union-attr]


# -- each error has its own message ------------------------------------------------------------------------------------


def test_a_wrong_identity(site: Site) -> None:
    called = site.restore("--identity", site.stranger)
    assert called.code == 2
    assert "none of the identities (%s) is a recipient of the archive" % site.outsider in called.error
    assert site.recipient in called.error


def test_an_identity_file_that_cannot_be_read(site: Site) -> None:
    called = site.restore("--identity", "/nonexistent")
    assert called.code == 2 and "/nonexistent: cannot read the identity file" in called.error


def test_a_wrapped_key_that_was_moved_from_another_archive(site: Site) -> None:
    """Without a catalog: with it, the manifest is not what it records."""
    lose(site.host, "state")
    moved = site.manifest(KEYS[1])["encryption"]
    forgery.alter(site.host.store, KEYS[0], encryption=moved)
    forgery.alter(site.host.store, KEYS[2], encryption=dict(site.manifest(KEYS[2])["encryption"], wrapped=moved["wrapped"]))
    for level in ("read_back", "authenticated"):
        verified = site.call("verify", "--level", level, "--identity", site.opener)
        assert verified.code == 4 and verified.output.count("another archive") == 2, verified
    restored = site.restore("--identity", site.opener)
    assert restored.code == 4 and "another archive" in restored.error
    assert site.restored() == site.logs()[1:2]


def test_a_damaged_wrapped_key(site: Site) -> None:
    lose(site.host, "state")
    facts = site.manifest(KEYS[0])["encryption"]
    facts["wrapped"][0]["key"] = facts["wrapped"][0]["key"][:-8] + "AAAAAA=="
    forgery.alter(site.host.store, KEYS[0], encryption=facts)
    restored = site.restore("--identity", site.opener)
    assert restored.code == 4 and "is damaged" in restored.error


def test_a_wrapped_key_in_url_safe_base64_is_refused(site: Site) -> None:
    """Only the key of a keyring is a token, in that alphabet."""
    lose(site.host, "state")
    facts = site.manifest(KEYS[0])["encryption"]
    facts["wrapped"][0]["key"] = "AA-A"
    forgery.alter(site.host.store, KEYS[0], encryption=facts)
    restored = site.restore("--identity", site.opener)
    assert restored.code == 4 and "is not base64" in restored.error
    assert site.restored() == site.logs()[1:]


def test_a_stripped_hmac_is_refused(site: Site) -> None:
    lose(site.host, "state")
    forgery.downgrade(site.host.store, KEYS[0])
    verified = site.call("verify")
    assert verified.code == 4 and "has recipients and no HMAC" in verified.output


@pytest.mark.parametrize(
    "wrapped",
    [[], "x", [{"type": "age"}], [{"type": "age", "recipient": "r", "key": "%"}], [{"type": "keyring", "recipient": "r", "key": "AAAA"}]],
    ids=["empty", "text", "incomplete", "not-base64", "no-key-id"],
)
def test_a_manifest_with_odd_recipients_is_refused(wrapped: t.Any, site: Site) -> None:
    forgery.alter(site.host.store, KEYS[0], encryption=dict(site.manifest(KEYS[0])["encryption"], wrapped=wrapped))
    verified = site.call("verify", "--identity", site.opener)
    assert verified.code == 4 and "encryption.wrapped" in verified.output


# -- what a host without a key knows -----------------------------------------------------------------------------------


def test_verify_without_an_identity_says_what_it_proves(site: Site) -> None:
    verified = site.call("verify")
    assert verified.code == 0
    assert "3 archive(s) were not opened" in verified.output
    rows = json.loads(site.call("verify", "--json").output)
    assert {(row["level"], row["authenticated"]) for row in rows} == {("read_back", True)}, "the ledger has their manifests"
    thorough = site.call("verify", "--level", "authenticated")
    assert thorough.code == 4 and "no key for it is available" in thorough.output
    opened = site.call("verify", "--level", "authenticated", "--identity", site.opener)
    assert opened.code == 0 and "were not opened" not in opened.output


def test_a_lost_catalog_adopts_what_the_ledger_has(site: Site) -> None:
    os.unlink(site.host.state / "catalog.sqlite")
    record = site.run(delete_sources=True)
    assert (record["exit_code"], record["archives"], record["warnings"]) == (0, [], [])
    assert len(record["sources_deleted"]) == 3
    assert site.call("verify").code == 0 and site.call(*STATUS).code == 0


def test_without_catalog_and_ledger_nothing_is_adopted(site: Site) -> None:
    lose(site.host, "state")
    record = site.run(delete_sources=True)
    assert len(record["archives"]) == 3
    assert any("3 archive(s) are archived again" in text for text in record["warnings"])


def test_the_operator_adopts_with_an_identity_what_nothing_else_proves(site: Site) -> None:
    lose(site.host, "state")
    assert len(site.run()["archives"]) == 3
    assert site.call("ledger", "verify").code == 4
    accept = ("ledger", "accept", "syslog", "--reason", "the disk of the host was lost")
    left = site.call(*accept)
    assert left.code == 4 and all(key in left.output for key in KEYS)
    assert site.call(*accept, "--identity", site.stranger).code == 4
    assert site.call(*accept, "--identity", site.opener).code == 0
    assert site.call("ledger", "verify").code == 0
    assert {row["authenticated"] for row in json.loads(site.call("verify", "--json").output)} == {True}


def test_retention_goes_on_without_a_key(site: Site) -> None:
    policy = {"keep_last": 1, "max_delete_share": 1}
    record = site.run(retention=policy)
    assert record["pruned"]["file"]["removed"] == KEYS[:2]
    assert site.call("verify").code == 0 and site.call(*STATUS).code == 0 and site.call("ledger", "verify").code == 0


def forged(site: Site, key: str, content: bytes) -> None:
    """Who knows the recipient makes an archive for it, with the HMAC of its own key, in the place of one of the host."""
    made = site.host.folder / "forged"
    made.mkdir(exist_ok=True)
    source = made / ("syslog.%s" % key[-14:-11])
    source.write_bytes(content)
    path = made / key.rpartition("/")[2]
    new = envelope.RecipientsEnvelope([recipients.parse(site.recipient)], None)
    period = manifests.period_of(t.cast(t.Any, site.manifest(key)))
    create_archive(str(path), Contents([source_at(str(source), PERIOD)], NAME, JOB, period), new)
    os.replace(path, site.host.store / key)
    os.replace(str(path) + ".manifest.json", str(site.host.store / key) + ".manifest.json")


@pytest.mark.parametrize("lost", ["nothing", "catalog", "state"])
def test_an_archive_that_somebody_made_for_the_recipient(lost: str, site: Site) -> None:
    """The catalog, or the ledger, shows it. Without both, it opens, and is reported as not authenticated."""
    forged(site, KEYS[0], b"made up\n")
    if lost == "catalog":
        os.unlink(site.host.state / "catalog.sqlite")
    elif lost == "state":
        lose(site.host, "state")
    verified = site.call("verify", "--identity", site.opener)
    restored = site.restore("--identity", site.opener, "--json")
    if lost == "state":
        assert verified.code == 0
        assert {row["authenticated"] for row in json.loads(restored.output)} == {False}
        assert len(site.run(delete_sources=True)["archives"]) == 3
    else:
        assert verified.code == 4 and KEYS[0] in verified.output and "replaced" in verified.output
        assert restored.code == 4 and KEYS[0] in restored.error
        assert {row["archive"]: row["authenticated"] for row in json.loads(restored.output)} == {
            KEYS[0]: None,
            **dict.fromkeys(KEYS[1:], True),
        }
    assert lost != "nothing" or site.call(*STATUS).code == 4


def test_with_a_keyring_what_somebody_made_for_the_recipient_is_not_authenticated(host: Host) -> None:
    site = Site(host.folder / "host", keyring=True)
    assert site.run()["exit_code"] == 0
    lose(site.host, "state")
    forged(site, KEYS[0], b"made up\n")
    rows = json.loads(site.call("verify", "--json").output)
    assert {row["key"]: row["authenticated"] for row in rows} == {KEYS[0]: None, KEYS[1]: True, KEYS[2]: True}
    record = site.run(delete_sources=True)
    assert [archive["sources"][0][-2:] for archive in record["archives"]] == ["12"]


def test_the_ledger_names_who_can_open(site: Site) -> None:
    entries = [row for row in json.loads(site.call("ledger", "show", "--json").output) if row["op"] == "put"]
    assert [entry["payload"]["keys"] for entry in entries] == [[site.recipient, site.second]] * 3


def test_without_pyrage_nothing_is_archived_and_the_error_says_what_to_do(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    site = Site(host.folder / "host", AGE)
    monkeypatch.setitem(sys.modules, "pyrage", None)
    record = site.run()
    assert record["exit_code"] == 2 and files_below(site.host.store) == []
    assert "pyrage" in record["errors"][0] and "hpke need no other library" in record["errors"][0]


def test_a_flat_store_and_a_revision_have_their_names(host: Host) -> None:
    """The wrapped key is bound to the name in the manifest, which is that of the catalog: a store may give it a revision."""
    folder = host.folder / "host"
    site = Site(folder, stores=[{"type": "file", "path": str(folder / "store"), "layout": "flat"}])
    assert site.run()["exit_code"] == 0
    path = site.host.logs / "syslog.20240112.14"
    path.write_bytes(path.read_bytes() + b"more\n")
    assert site.run()["exit_code"] == 0
    assert site.restore("--identity", site.opener).code == 0
    assert site.restored() == site.logs()


# -- the key of one archive, and other recipients -----------------------------------------------------------------------


def test_the_key_of_one_archive_opens_it_alone(site: Site) -> None:
    unwrapped = site.call("key", "unwrap", KEYS[1], "--identity", site.opener)
    assert unwrapped.code == 0
    path = site.host.folder / "one.key"
    path.touch(0o600)
    path.write_text(unwrapped.output)
    restored = site.restore("--archive-key-file", str(path))
    assert restored.code == 4 and "belongs to another archive" in restored.error
    assert site.restored() == site.logs()[1:2]


def test_no_key_of_its_own_no_wrong_identity_no_such_archive(host: Host) -> None:
    site = Site(host.folder / "host")
    site.run(encryption={"keyring": str(site.host.keyring)})
    site.host.write_document(encryption={"keyring": str(site.host.keyring)})
    assert "does not have its own key" in site.call("key", "unwrap", KEYS[0]).error
    site.host.write_logs(11)
    site.run()
    recent = KEYS[0].replace(".12.tgz", ".11.tgz")
    assert "is a recipient of the archive" in site.call("key", "unwrap", recent, "--identity", site.stranger).error
    assert "no archive has this name" in site.call("key", "unwrap", "nothing", "--identity", site.opener).error
    unreadable = site.call("key", "unwrap", recent, "--identity", "/nonexistent")
    assert unreadable.code == 2 and "cannot read the identity file" in unreadable.error and "no archive" not in unreadable.error


def test_new_identity(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "identity"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.main(["key", "new-identity", "--output", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    (identity,) = recipients.read_identities([str(path)])
    assert output.getvalue().strip() == identity.recipient
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        assert cli.main(["key", "new-identity", "--output", str(path)]) == 2
    assert "was not overwritten" in error.getvalue()
    assert recipients.read_identities([str(path)]) == [identity]


def all_is_well(site: Site) -> None:
    """verify, status and the ledger agree with the store, and a run changes nothing."""
    for command in (("verify",), STATUS, ("ledger", "verify")):
        called = site.call(*command)
        assert called.code == 0, (command, called)
    record = site.run()
    assert (record["exit_code"], record["archives"], record["warnings"]) == (0, [], [])


def recipients_of(site: Site) -> t.List[t.Set[str]]:
    return [{one["recipient"] for one in site.manifest(key)["encryption"]["wrapped"]} for key in KEYS]


def test_rewrap_adds_and_removes_and_encrypts_nothing_again(site: Site) -> None:
    before = {key: (site.host.store / key).read_bytes() for key in KEYS}
    change = ("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider, "--remove", site.second)
    dry = site.call(*change, "--dry-run")
    assert dry.code == 0 and "3 would be rewrapped" in dry.output
    assert recipients_of(site) == [{site.recipient, site.second}] * 3
    done = site.call(*change)
    assert done.code == 0 and "3 rewrapped, 0 unchanged" in done.output
    assert recipients_of(site) == [{site.recipient, site.outsider}] * 3
    assert {key: (site.host.store / key).read_bytes() for key in KEYS} == before
    all_is_well(site)
    assert "0 rewrapped, 3 unchanged" in site.call(*change).output
    removed = site.restore("--identity", site.other)
    assert removed.code == 2 and "the recipient %s was removed from the archive" % site.second in removed.error
    assert site.restore("--identity", site.stranger, to="new").code == 0 and site.restored("new") == site.logs()
    entries = [row["payload"] for row in json.loads(site.call("ledger", "show", "--json").output) if row["op"] == "rewrap"]
    assert [(entry["archive"], sorted(entry["keys"])) for entry in entries] == [
        (key, sorted([site.recipient, site.outsider])) for key in KEYS
    ]


def test_a_rewrapped_archive_survives_a_lost_catalog(site: Site) -> None:
    assert site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider).code == 0
    os.unlink(site.host.state / "catalog.sqlite")
    assert site.run(delete_sources=True)["archives"] == []
    assert site.call("verify").code == 0 and site.call("ledger", "verify").code == 0


def test_the_host_rewraps_with_its_keyring(host: Host) -> None:
    site = Site(host.folder / "host", keyring=True)
    site.run()
    assert site.call("key", "rewrap", JOB, "--add", site.outsider, "--remove", site.second).code == 0
    all_is_well(site)
    assert site.restore("--identity", site.stranger).code == 0


def test_what_is_not_rewrapped_stays_as_it_is(site: Site) -> None:
    for arguments, code, why in (
        ((), 2, "--add and --remove are missing"),
        (("--add", site.second, "--remove", site.second), 2, "have the same recipient"),
        (("--add", "age1x"), 2, "not a recipient"),
        (("--add", site.outsider), 2, "no key for it is available"),
        (("--add", site.outsider, "--identity", site.stranger), 2, "is a recipient of the archive"),
        (("--remove", site.recipient, "--remove", site.second, "--identity", site.opener), 2, "nobody could open the archive"),
    ):
        called = site.call("key", "rewrap", JOB, *arguments)
        assert called.code == code and why in called.output + called.error, (arguments, called)
    assert recipients_of(site) == [{site.recipient, site.second}] * 3
    all_is_well(site)


def test_a_job_that_runs_is_not_rewrapped(site: Site) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.job import locked

    with locked(site.host.document(**site.changes)):
        called = site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    assert (called.code, called.output) == (5, "") and "another run holds the lock" in called.error
    assert recipients_of(site) == [{site.recipient, site.second}] * 3


def test_an_archive_that_somebody_added_is_not_rewrapped(site: Site) -> None:
    forged(site, KEYS[0], b"made up\n")
    called = site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    assert called.code == 4 and KEYS[0] in called.output and "was replaced" in called.output
    assert [site.outsider in found for found in recipients_of(site)] == [False, True, True]


def test_the_command_in_the_error_of_a_rewrap_makes_it_possible(site: Site) -> None:
    lose(site.host, "state")
    rewrap = ("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    refused = site.call(*rewrap)
    hints = re.findall(r"'log-archive (ledger accept .*?)'", refused.output)
    assert refused.code == 4 and len(hints) == 3
    assert site.call(*hints[0].replace("TEXT", "rebuilt").replace("FILE", site.opener).split()).code == 0
    assert site.call(*rewrap).code == 0
    assert [site.outsider in found for found in recipients_of(site)] == [True] * 3


def test_an_append_only_store_is_not_rewrapped(host: Host) -> None:
    folder = host.folder / "host"
    site = Site(folder, stores=[{"type": "file", "path": str(folder / "store"), "append_only": True}])
    site.run()
    called = site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    assert called.code == 1 and "append-only" in called.output
    all_is_well(site)


def test_archives_of_a_keyring_that_is_not_given_do_not_keep_those_of_recipients(host: Host) -> None:
    """The job had a keyring, then recipients alone, then a keyring again."""
    site = Site(host.folder / "host")
    ring = {"keyring": str(site.host.keyring)}
    for hour, encryption in ((12, ring), (13, site.encryption), (14, ring)):
        for path in site.host.logs.iterdir():
            path.unlink()
        site.host.write_logs(hour)
        assert site.run(encryption=encryption)["exit_code"] == 0
    restored = site.restore("--identity", site.opener)
    assert restored.code == 4 and KEYS[0] in restored.error and KEYS[2] in restored.error and "no keyring is given" in restored.error
    assert [path[-2:] for path in files_below(site.host.folder / "to")] == ["13"]
    verified = site.call("verify", "--level", "authenticated", "--identity", site.opener)
    wrong = [text for text in verified.output.splitlines() if text.startswith("FAILED")]
    assert len(wrong) == 2 and all(text.count(key) == 2 for text, key in zip(wrong, (KEYS[0], KEYS[2])))
    found = site.call("search", "request", "--identity", site.opener, "--count")
    assert found.output.count(":27") == 1 and KEYS[0] in found.error and KEYS[2] in found.error
    site.host.write_document(encryption={**ring, **site.encryption})
    assert site.restore("--identity", site.opener).code == 0 and len(site.restored()) == 3


def test_more_recipients_than_a_manifest_may_have_are_refused(site: Site) -> None:
    """A manifest with more would be refused by whoever reads it."""
    more = [text for _ in range(49) for text in ("--add", recipients.new_identity()[0])]
    change = ("key", "rewrap", JOB, "--identity", site.opener)
    refused = site.call(*change, *more)
    assert refused.code == 2 and refused.output.count("51 recipients; the limit is 50") == 3
    assert recipients_of(site) == [{site.recipient, site.second}] * 3
    assert site.call(*change, *more, *more[:2], "--remove", site.second).code == 0
    assert {len(found) for found in recipients_of(site)} == {50}
    all_is_well(site)


def test_a_manifest_that_nobody_would_read_is_not_put(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import rewrap

    monkeypatch.setattr(rewrap, "LARGEST", 1024)
    called = site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    assert called.code == 2 and called.output.count("the limit is 1.0 KiB") == 3
    assert recipients_of(site) == [{site.recipient, site.second}] * 3


def test_what_was_not_exchanged_is_not_reported_as_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import rewraps

    def full(*_arguments: t.Any, **_named: t.Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rewraps, "write_atomically", full)
    called = site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider, "--json")
    (row,) = json.loads(called.output)
    assert called.code == 1 and row["changed"] == [] and "No space left" in row["error"]
    assert recipients_of(site) == [{site.recipient, site.second}] * 3


@pytest.mark.parametrize("damage", ["{", "[]", '{"store": {"key": 5}}'], ids=["cut", "a list", "no manifest"])
def test_a_damaged_record_of_a_rewrap_is_named_with_what_to_do(site: Site, damage: str) -> None:
    record = site.host.state / ("%s.rewrap.json" % JOB)
    record.write_text(damage)
    called = site.call("verify", JOB)
    assert called.code == 1
    assert "the record of the manifests that a rewrap was exchanging is damaged" in called.error and str(record) in called.error
    assert "move it away and run 'log-archive verify %s'" % JOB in called.error and called.output == ""
    (found,) = [check for check in json.loads(site.call("doctor", JOB, "--json").output) if check["check"] == "rewrap"]
    assert found["state"] == "failed" and "damaged" in found["text"] and "move it away" in found["remedy"]
    record.unlink()
    assert site.call("verify", JOB).code == 0


@pytest.mark.parametrize("by", ["rewrap", "run"])
def test_a_rewrap_that_fails_in_one_store_is_not_forgotten_in_the_next(host: Host, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first store fails after its first manifest; the second one is rewrapped meanwhile."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreUnavailableError
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import base

    folder = host.folder / "host"
    site = Site(folder, stores=[{"type": "file", "name": name, "path": str(folder / name)} for name in ("store", "second")])
    assert site.run()["exit_code"] == 0
    original = base.Store.replace
    calls: t.List[str] = []

    def failing(store: base.Store, *arguments: t.Any) -> t.Any:
        calls.append(store.name)
        if store.name == "store" and calls.count("store") > 1:
            raise StoreUnavailableError("it does not answer", "store")
        return original(store, *arguments)

    change = ("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    with monkeypatch.context() as patch:
        patch.setattr(base.Store, "replace", failing)
        called = site.call(*change)
        assert called.code == 1 and "does not answer" in called.output and "3 rewrapped" in called.output
        again = site.call(*change, "--store", "second")
        assert again.code == 0 and "3 unchanged" in again.output
    assert calls.count("second") == 3
    for command in (("verify",), ("verify", "--level", "authenticated", "--identity", site.opener), STATUS, ("ledger", "verify")):
        assert site.call(*command).code == 0, site.call(*command)
    if by == "run":
        assert site.run()["exit_code"] == 0
    assert site.call(*change).code == 0
    assert recipients_of(site) == [{site.recipient, site.second, site.outsider}] * 3
    all_is_well(site)


STEPS = ["begin", "put", "put second", "ledger", "head", "catalog", "end"]


def test_a_sync_completes_a_rewrap_that_was_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It copies manifests that are on record, so those that were put need their record first."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import file as ledgers

    def killed(*_arguments: t.Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledgers.Ledger, "append", killed)
        with contextlib.suppress(KeyboardInterrupt):
            site.call("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    site.changes["stores"] = [*site.host.stores, {"name": "second", "type": "file", "path": str(site.host.folder / "second")}]
    site.host.write_document(**site.changes)
    synced = site.call("sync", "syslog", "--to", "second")
    assert synced.code == 0 and "3 copied" in synced.output, synced
    for key in KEYS:
        assert forgery.read_manifest(site.host.folder / "second", key) == site.manifest(key)
    all_is_well(site)


@pytest.mark.parametrize("by", ["rewrap", "run"])
@pytest.mark.parametrize("step", STEPS)
def test_a_rewrap_that_is_cut_anywhere_ends_the_same(site: Site, step: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before this step: nothing is reported as a forgery, and the next rewrap, or the next run, completes it."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import rewrap
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import entered, rewraps
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import file as ledgers
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import base

    where: t.Dict[str, t.Tuple[t.Any, str]] = {
        "begin": (rewraps, "begin"),
        "put": (base.Store, "replace"),
        "put second": (base.Store, "replace"),
        "ledger": (ledgers.Ledger, "append"),
        "head": (ledgers.Ledger, "_write_head"),
        "catalog": (entered.Entered, "rewrapped"),
        "end": (rewraps, "end"),
    }
    target, name = where[step]
    calls = []
    original = getattr(target, name)

    def killed(*arguments: t.Any, **named: t.Any) -> t.Any:
        calls.append(name)
        if len(calls) > (step == "put second"):
            raise KeyboardInterrupt
        return original(*arguments, **named)

    change = ("key", "rewrap", JOB, "--identity", site.opener, "--add", site.outsider)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, killed)
        with contextlib.suppress(KeyboardInterrupt):
            site.call(*change)
    assert calls
    for command in (("verify",), ("verify", "--level", "authenticated", "--identity", site.opener), STATUS, ("ledger", "verify")):
        called = site.call(*command)
        assert called.code == 0, (command, called)
    assert rewrap.BATCH >= 3
    if by == "run":
        assert site.run()["exit_code"] == 0
        assert step == "begin" or [site.outsider in found for found in recipients_of(site)] == [True] * 3
    assert site.call(*change).code == 0
    assert [site.outsider in found for found in recipients_of(site)] == [True] * 3
    assert not (site.host.state / "syslog.rewrap.json").exists()
    all_is_well(site)
    entries = [row["op"] for row in json.loads(site.call("ledger", "show", "--json").output)]
    assert entries.count("rewrap") == 3
