# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host keys: the forms in which people have them, known_hosts, and which offered key is accepted; no server is needed."""

from __future__ import annotations

import base64
import os
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_host_keys import (
    KnownKeys,
    check_host_key,
    fingerprint,
    known_keys_for,
    no_known_type,
    parse_host_key,
    parse_known_hosts,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_login import HostKey, Login


def key_of(text: str, kind: str = "ssh-ed25519") -> HostKey:
    """A host key made of a text; only its form is right."""
    return HostKey(kind, len(kind).to_bytes(4, "big") + kind.encode() + text.encode())


def line_of(key: HostKey, names: str = "files.example.org") -> str:
    return "%s %s %s" % (names, key.type, base64.b64encode(key.blob).decode())


OLD, NEW = key_of("old"), key_of("new")


def login(**changes: t.Any) -> Login:
    settings: t.Dict[str, t.Any] = {
        "host": "files.example.org",
        "port": 22,
        "user": "la",
        "private_key": None,
        "password": "marker",
        "host_key": None,
        "known_hosts_files": (os.devnull,),
        "accept_new_host_key": False,
        "timeout": 1.0,
    }
    return Login(**dict(settings, **changes))


# -- parsing ----------------------------------------------------------------------------------------------------------


def test_a_pinned_host_key_is_read_in_the_forms_that_people_have(tmp_path: pathlib.Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-C", "root@host", "-N", "", "-f", str(tmp_path / "key")], check=True)
    public = (tmp_path / "key.pub").read_text()
    kind, blob = parse_host_key(public)
    assert kind == "ssh-ed25519"
    assert parse_host_key("[host]:2222 " + public) == (kind, blob)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True).stdout
    assert fingerprint(blob) in shown
    for bad in ("", "ssh-ed25519", "ssh-rsa " + public.split()[1], "SHA256:abc", "ssh-ed25519 AAAA"):
        with pytest.raises(errors.ConfigError):
            parse_host_key(bad)


def test_which_lines_of_known_hosts_name_a_host() -> None:
    kind, blob = "ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + b"k" * 36
    key = "%s %s" % (kind, base64.b64encode(blob).decode())

    def known(line: str, host: str = "files.example.org", port: int = 22) -> bool:
        found = parse_known_hosts([line], host, port)
        assert not found.revoked
        return found.accepted == [(kind, blob)]

    assert known("files.example.org " + key)
    assert known("a,FILES.example.org,b %s a comment" % key, "Files.Example.org")
    assert known("*.example.org " + key)
    assert known("file?.example.org " + key)
    assert known("[files.example.org]:2222 " + key, port=2222)
    assert not known("files.example.org " + key, port=2222)
    assert not known("[files.example.org]:2222 " + key)
    assert not known("*.example.org,!files.example.org " + key)
    assert not known("files-example.org " + key)
    assert not known("filesXexample.org " + key)
    assert not known("# files.example.org " + key)
    assert not known("@cert-authority *.example.org " + key)
    assert not known("files.example.org ssh-ed25519 !!!!")
    assert not known("files.example.org ssh-rsa " + key.split()[1])
    assert not known("|1|bad " + key)


def test_hashed_names_match_the_host_and_its_port(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("%s\n%s\n" % (line_of(OLD), line_of(NEW, "[files.example.org]:2222")))
    subprocess.run(["ssh-keygen", "-H", "-f", str(path)], check=True, capture_output=True)
    lines = path.read_text().splitlines()
    assert all(line.startswith("|1|") for line in lines)
    assert parse_known_hosts(lines, "files.example.org", 22).accepted == [OLD]
    assert parse_known_hosts(lines, "files.example.org", 2222).accepted == [NEW]
    assert parse_known_hosts(lines, "other.example.org", 22) == KnownKeys([], [])


def test_revoked_keys_and_authorities_are_kept_apart() -> None:
    lines = [line_of(OLD), "@revoked " + line_of(NEW, "*"), "@cert-authority " + line_of(NEW, "*"), "", "# comment", "damaged"]
    assert parse_known_hosts(lines, "files.example.org", 22) == KnownKeys([OLD], [NEW.blob], authorities=(NEW,))


# -- which keys are known ---------------------------------------------------------------------------------------------


def test_a_pinned_key_hides_the_files(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line_of(OLD) + "\n")
    assert known_keys_for(login(host_key=NEW, known_hosts_files=(str(path),))) == KnownKeys([NEW], [])


def test_the_keys_of_all_files_are_known(tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(line_of(OLD) + "\n")
    second.write_bytes(b"\xff\xfe not text\n" + line_of(NEW).encode() + b"\n")
    files = (str(first), str(tmp_path / "missing"), str(second))
    assert known_keys_for(login(known_hosts_files=files)) == KnownKeys([OLD, NEW], [])


def test_a_file_that_cannot_be_read_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError, match="cannot read the known hosts") as raised:
        known_keys_for(login(known_hosts_files=(str(tmp_path),)))
    assert raised.value.subject == str(tmp_path)


def test_a_named_pipe_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.ConfigError, match="cannot read the known hosts: it is not a regular file"):
        known_keys_for(login(known_hosts_files=(str(tmp_path / "pipe"),)))


# -- the offered key --------------------------------------------------------------------------------------------------


def test_a_known_key_is_accepted() -> None:
    check_host_key(login(), NEW, KnownKeys([OLD, NEW], []))


def test_another_key_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(errors.StoreDeniedError, match="nothing was sent") as raised:
        check_host_key(login(accept_new_host_key=True), NEW, KnownKeys([OLD], []))
    assert fingerprint(OLD.blob) in str(raised.value) and fingerprint(NEW.blob) in str(raised.value)
    assert "ssh-keyscan -p 22 -t ed25519 files.example.org" in str(raised.value)


def test_a_revoked_key_is_refused_although_it_is_known() -> None:
    with pytest.raises(errors.StoreDeniedError, match="revoked"):
        check_host_key(login(accept_new_host_key=True), OLD, KnownKeys([OLD], [OLD.blob]))


def test_a_new_key_is_refused_unless_that_is_asked_for(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "known_hosts"
    with pytest.raises(errors.StoreDeniedError, match="is not known"):
        check_host_key(login(known_hosts_files=(str(path),)), NEW, KnownKeys([], []))
    assert not path.exists()
    accepting = login(known_hosts_files=(str(path),), accept_new_host_key=True, port=2222)
    check_host_key(accepting, NEW, KnownKeys([], []))
    assert path.read_text() == line_of(NEW, "[files.example.org]:2222") + "\n"
    assert [each.stat().st_mode & 0o777 for each in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
    assert known_keys_for(accepting) == KnownKeys([NEW], [])


def test_a_new_key_that_cannot_be_written_down_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    accepting = login(known_hosts_files=(str(tmp_path / "file" / "known_hosts"),), accept_new_host_key=True)
    with pytest.raises(errors.ConfigError, match="cannot record the new host key"):
        check_host_key(accepting, NEW, KnownKeys([], []))


def test_a_server_without_a_key_of_a_known_type_is_explained() -> None:
    error = no_known_type(login(), KnownKeys([key_of("x", "ssh-rsa")], []))
    assert "expected ssh-rsa SHA256:" in str(error) and "ssh-keyscan -p 22 files.example.org" in str(error)


def test_no_password_is_shown() -> None:
    assert "marker" not in repr(login()) + str(login())
