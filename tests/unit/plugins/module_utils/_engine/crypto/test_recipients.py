# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recipients and identities: what is wrapped opens, and each mistake has its own error."""

from __future__ import annotations

import os
import pathlib
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    IdentityError,
    IntegrityError,
    MissingLibraryError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import bech32, hpke, recipients
from rigs.recipients import AGE, HPKE, KINDS, identity_file

pytest.importorskip("cryptography")
SECRET = bytes(range(32))
NAME = b"web1/syslog/syslog.20240112.12.tgz.fernet"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrapped_opens_for_the_archive_of_this_name_alone(kind: str, tmp_path: pathlib.Path) -> None:
    text, path = identity_file(tmp_path, kind)
    (identity,) = recipients.read_identities([path])
    assert (identity.type, identity.recipient) == (kind, text)
    wrapped = recipients.wrap(recipients.parse(text), SECRET, NAME)
    assert recipients.unwrap(identity, wrapped, NAME, "x") == SECRET
    with pytest.raises(IntegrityError, match="belongs to another archive"):
        recipients.unwrap(identity, wrapped, NAME + b"2", "x")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_wrapped_key_is_refused(kind: str, damage: str, tmp_path: pathlib.Path) -> None:
    text, path = identity_file(tmp_path, kind)
    wrapped = recipients.wrap(recipients.parse(text), SECRET, NAME)
    middle = len(wrapped) // 2
    broken = {
        "cut": wrapped[:-1],
        "flipped": wrapped[:middle] + bytes([wrapped[middle] ^ 1]) + wrapped[middle + 1 :],
        "empty": b"",
        "text": b"age-encryption.org/v1\n",
    }[damage]
    with pytest.raises(IntegrityError, match="damaged"):
        recipients.unwrap(recipients.read_identities([path])[0], broken, NAME, "x")


def test_an_age_file_of_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    import pyrage

    text, path = identity_file(tmp_path, AGE)
    for content in (b"", b"not a key\n" + NAME, b"A" * 43):
        wrapped = pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(text)])
        with pytest.raises(IntegrityError, match="not a key"):
            recipients.unwrap(recipients.read_identities([path])[0], wrapped, NAME, "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q", "checksum"),
        ("ssh-ed25519 AAAAC3Nza", "not a recipient"),
        (bech32.encode("age1yubikey", bytes(33)), "unknown|known type"),
        (bech32.encode("age", bytes(31)), "known type"),
        ("", "not a recipient"),
        (bech32.encode("age-secret-key-", bytes(32)).upper(), "private key"),
        ("identity: %s" % bech32.encode("hpke-secret-key-", bytes(32)).upper(), "private key"),
        (bech32.encode("age", bytes(32)), "not a real key"),
        (bech32.encode("hpke", bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")), "not a real key"),
    ],
    ids=["typo", "ssh", "plugin", "short", "empty", "private", "private-in-text", "low-order-age", "low-order-hpke"],
)
def test_what_is_not_a_recipient_is_named(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        recipients.parse(text)
    assert "SECRET-KEY-1" not in str(raised.value)


@pytest.mark.parametrize(
    "public",
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ],
)
def test_the_keys_of_low_order_are_those_that_give_no_secret(public: str) -> None:
    """With such a recipient of age, pyrage ends the process."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    assert hpke.is_of_low_order(bytes.fromhex(public))
    with pytest.raises(ValueError):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    assert not hpke.is_of_low_order(hpke.public_key(hpke.generate()))


def test_an_identity_file_of_windows_is_read(tmp_path: pathlib.Path) -> None:
    """With a byte order mark, and with carriage returns."""
    _public, path = identity_file(tmp_path, recipients.HPKE)
    before = recipients.read_identities([path])
    content = pathlib.Path(path).read_bytes().replace(b"\n", b"\r\n")
    pathlib.Path(path).write_bytes(b"\xef\xbb\xbf" + content)
    assert recipients.read_identities([path]) == before


def test_a_recipient_is_the_same_in_capitals() -> None:
    text = recipients.new_identity()[0]
    assert recipients.parse(text.upper()) == recipients.parse(text)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no identity"),
        (b"# only a comment\n\n", "no identity"),
        (b"AGE-SECRET-KEY-1QQQQ\n", "line 1 is not an identity"),
        (b"# x\nAGE-PLUGIN-YUBIKEY-1QQQQ\n", "line 2 has an identity of an age plugin"),
        (b"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n", "is a recipient, which is public"),
        (b"age-encryption.org/v1\n-> scrypt x 18\n", "encrypted with a passphrase"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "encrypted with a passphrase"),
        (b"\xff\xfe\n", "line 1 is not an identity"),
        (bech32.encode("other-secret-key-", bytes(32)).upper().encode(), "unknown type"),
        (b"#" * (2 << 20), "larger than 1 MiB"),
    ],
    ids=["empty", "comment", "damaged", "plugin", "public", "age", "armor", "binary", "unknown", "large"],
)
def test_a_bad_identity_file_is_named(content: bytes, why: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "identity"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=why) as raised:
        recipients.read_identities([str(path)])
    assert str(path) in str(raised.value)


def test_an_identity_file_that_cannot_be_read_or_that_others_can_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(IdentityError, match="cannot read the identity file: No such file"):
        recipients.read_identities([str(tmp_path / "missing")])
    with pytest.raises(IdentityError, match="cannot read the identity file: Is a directory"):
        recipients.read_identities([str(tmp_path)])
    _text, path = identity_file(tmp_path, HPKE)
    os.chmod(path, 0o640)
    with pytest.raises(IdentityError, match=r"open to its group.*chmod 0600"):
        recipients.read_identities([path])


def test_an_identity_comes_through_a_pipe(tmp_path: pathlib.Path) -> None:
    _text, path = identity_file(tmp_path, HPKE)
    reading, writing = os.pipe()
    os.write(writing, pathlib.Path(path).read_bytes())
    os.close(writing)
    try:
        assert recipients.read_identities(["/dev/fd/%d" % reading]) == recipients.read_identities([path])
    finally:
        os.close(reading)


def test_no_private_key_is_shown(tmp_path: pathlib.Path) -> None:
    for kind in KINDS:
        _text, path = identity_file(tmp_path, kind)
        secret = pathlib.Path(path).read_text().strip().splitlines()[-1]
        (identity,) = recipients.read_identities([path])
        assert secret not in repr(identity) and repr(identity.secret) not in repr(identity)


def test_without_pyrage_the_error_names_the_other_type(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    text, path = identity_file(tmp_path, AGE)
    wrapped = recipients.wrap(recipients.parse(text), SECRET, NAME)
    monkeypatch.setitem(sys.modules, "pyrage", None)
    (identity,) = recipients.read_identities([path])
    calls: t.List[t.Callable[[], t.Any]] = [
        lambda: recipients.wrap(recipients.parse(text), SECRET, NAME),
        lambda: recipients.unwrap(identity, wrapped, NAME, "x"),
    ]
    for call in calls:
        with pytest.raises(MissingLibraryError, match="pyrage.*hpke need no other library"):
            call()


def test_keys_of_archives_in_a_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.touch(0o600)
    path.write_text("# of two archives\n%s\n\n%s\n" % ("A" * 43 + "=", "B" * 42 + "A="))
    assert sorted(recipients.read_archive_keys(str(path)).values()) == sorted([bytes(32), b"\x04\x10\x41" * 10 + b"\x04\x10"])
    for content, why in (("", "no key"), ("x\n", "line 1 is not the key")):
        path.write_text(content)
        with pytest.raises(IdentityError, match=why):
            recipients.read_archive_keys(str(path))
