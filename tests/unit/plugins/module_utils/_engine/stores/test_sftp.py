# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SFTP store without a server: its options, private keys, packets, and what a refusal means."""

from __future__ import annotations

import os
import pathlib
import struct
import subprocess
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import sftp_packets as packets
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.sftp_login import load_private_key
from rigs.stores import new_store


def test_wrong_options_are_named_together() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        new_store("sftp", host="h", user="u", path="", verify="best")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["path", "verify", "private_key_file, password"]


def test_the_location_of_a_key() -> None:
    one = new_store("sftp", host="h.example.org", user="u", path="/data/my logs/", password="x")
    assert one.location("a/b") == "sftp://u@h.example.org:22/data/my logs/a/b"
    assert new_store("sftp", host="::1", user="u", path="/", port=2222, password="x").location("a") == "sftp://u@[::1]:2222/a"


def test_paramiko_is_loaded_only_when_it_is_needed_and_named_when_it_is_missing() -> None:
    code = (
        "import sys; sys.path[:0] = %r\n"
        "from rigs.stores import new_store\n"
        "one = new_store('sftp', host='127.0.0.1', port=9, user='u', path='/', password='x')\n"
        "assert 'paramiko' not in sys.modules and 'cryptography' not in sys.modules\n"
        "sys.modules['paramiko'] = None\n"
        "try: one.list()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    ) % sys.path
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.startswith("MissingLibraryError the Python library 'paramiko' is missing, needed for SFTP stores")


def test_a_private_key_in_pem_format(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pem"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", str(path)], check=True)
    assert path.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert load_private_key(str(path), None).get_base64() == (tmp_path / "pem.pub").read_text().split()[1]


def test_a_named_pipe_in_the_place_of_a_private_key_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.ConfigError, match="cannot read the private key: it is not a regular file"):
        load_private_key(str(tmp_path / "pipe"), None)


# -- packets ----------------------------------------------------------------------------------------------------------


def reader(data: bytes) -> packets.PacketReader:
    return packets.PacketReader(memoryview(data), 0)


def test_the_fields_of_a_packet_are_read_in_order() -> None:
    fields = reader(struct.pack(">IQ", 7, 1 << 40) + packets.pack_text("caf\u00e9") + packets.pack_bytes(b"\xff") + b"rest")
    assert (fields.u32(), fields.u64(), fields.text(), fields.handle(), bytes(fields.rest())) == (7, 1 << 40, "caf\u00e9", b"\xff", b"rest")


def test_a_name_that_is_not_text_comes_back_as_the_same_bytes() -> None:
    name = reader(packets.pack_bytes(b"caf\xe9")).text()
    assert packets.pack_text(name) == packets.pack_bytes(b"caf\xe9")


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\5abcd"])
def test_a_packet_that_is_too_short_is_an_error(data: bytes) -> None:
    with pytest.raises(errors.StoreError, match="too short"):
        reader(data).string()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (struct.pack(">I", 0), (None, None, None)),
        (struct.pack(">IQ", 1, 5), (5, None, None)),
        (struct.pack(">IQIIIII", 15, 5, 0, 0, 0o100600, 1, 1700000000), (5, 0o100600, 1700000000)),
        (struct.pack(">III", 0x80000004, 0o40700, 1) + packets.pack_text("a") + packets.pack_text("b"), (None, 0o40700, None)),
    ],
)
def test_attributes_have_only_what_their_flags_say(data: bytes, expected: packets.Attributes) -> None:
    fields = reader(data)
    attributes = fields.attributes()
    assert attributes == expected and fields.left() == 0
    assert (attributes.is_file(), attributes.is_folder()) == (attributes.mode == 0o100600, attributes.mode == 0o40700)


def status(code: int, text: str = "") -> packets.PacketReader:
    return reader(struct.pack(">I", code) + (packets.pack_text(text) if text else b""))


def test_an_answer_is_what_was_asked_for_or_an_error() -> None:
    packets.expect(packets.STATUS, status(packets.OK), packets.STATUS)
    packets.expect(packets.DATA, reader(b""), packets.DATA)
    with pytest.raises(packets.Status, match="disk on fire .status 4."):
        packets.expect(packets.STATUS, status(packets.FAILURE, "disk on fire"), packets.STATUS)
    with pytest.raises(packets.Status, match="no reason given"):
        packets.expect(packets.STATUS, status(packets.OK), packets.DATA)
    with pytest.raises(errors.StoreError, match="a packet of an unexpected type"):
        packets.expect(packets.NAME, reader(b""), packets.DATA)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (packets.NO_SUCH_FILE, "No such file", errors.StoreNotFoundError),
        (packets.PERMISSION_DENIED, "", errors.StoreDeniedError),
        (packets.NO_SPACE, "", errors.StoreFullError),
        (packets.QUOTA_EXCEEDED, "", errors.StoreFullError),
        (packets.FAILURE, "No space left on device", errors.StoreFullError),
        (packets.FAILURE, "Disk quota exceeded", errors.StoreFullError),
        (packets.CONNECTION_LOST, "", errors.StoreUnavailableError),
        (packets.NO_CONNECTION, "", errors.StoreUnavailableError),
        (packets.FAILURE, "Failure", errors.StoreError),
    ],
)
def test_a_refusal_becomes_an_error_of_the_store(code: int, text: str, kind: type) -> None:
    store = new_store("sftp", host="h", user="u", path="/data", password="x")
    found = store._root.error(packets.Status(code, text), "a/b", "put")
    assert found.__class__ is kind
    assert found.subject == "sftp://u@h:22/data/a/b"
