# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keyring: which key is loaded, what is refused, that no key is shown or lost, and that nothing races."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import traceback

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_CONFIG, KeyringError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring

HOUR = 3600.0
IMPORT = "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring"


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "keyring")


def state(folder):
    """Everything in the keyring: names, permissions, contents. The lock file tells when it was last held and is left out."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in set(folders + files) - {".lock"}:
            path = os.path.join(parent, name)
            content = None
            if name in files:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, folder)] = (os.stat(path).st_mode, content)
    return found


def text_of(folder, id):
    with open(os.path.join(folder, id + ".key"), encoding="ascii") as file:
        return file.read()


def make_older(folder, id, seconds):
    path = os.path.join(folder, "keyring.json")
    with open(path, encoding="ascii") as file:
        content = json.load(file)
    content["created"][id] -= seconds
    with open(path, "w", encoding="ascii") as file:
        json.dump(content, file)


# -- files and ids -----------------------------------------------------------------------------------------------------


def test_the_id_is_the_beginning_of_an_hmac():
    secret = bytes(range(32))
    assert keyring.key_id(secret) == hmac.new(secret, b"log-archive key id v1", hashlib.sha256).digest()[:8].hex()


def test_create_makes_a_private_keyring_with_one_current_key(folder):
    change = keyring.create(folder)
    assert change == (True, change.id, None, change.id)
    assert os.stat(folder).st_mode & 0o7777 == 0o700
    assert os.stat(os.path.join(folder, change.id + ".key")).st_mode & 0o7777 == 0o600
    with open(os.path.join(folder, "current"), encoding="ascii") as file:
        assert file.read() == change.id + "\n"
    key = keyring.load_current(folder)
    assert key.id == change.id == keyring.key_id(key.secret)
    assert key == keyring.load(folder, change.id)


def test_a_key_file_is_what_any_fernet_library_reads(folder):
    fernet = pytest.importorskip("cryptography.fernet")
    key = keyring.load(folder, keyring.create(folder).id)
    with open(os.path.join(folder, key.id + ".key"), encoding="ascii") as file:
        token = fernet.Fernet(file.read().strip()).encrypt(b"log")
    assert fernet.Fernet(base64.urlsafe_b64encode(key.secret)).decrypt(token) == b"log"


def test_create_keeps_a_current_key(folder):
    first = keyring.create(folder)
    before = state(folder)
    assert keyring.create(folder) == (False, first.id, first.id, first.id)
    assert state(folder) == before


def test_create_makes_the_folders_above_and_check_mode_makes_none(tmp_path):
    wanted = tmp_path / "etc" / "log-archive" / "keyring"
    assert keyring.create(str(wanted), check=True).changed
    assert os.listdir(tmp_path) == []
    assert keyring.create(str(wanted)).changed
    assert wanted.stat().st_mode & 0o777 == 0o700


def test_without_a_keyring_or_a_current_key_the_error_says_how_to_make_one(folder):
    with pytest.raises(KeyringError, match="does not exist.*log-archive key create"):
        keyring.load_current(folder)
    keyring.import_key(folder, base64.urlsafe_b64encode(bytes(32)))
    with pytest.raises(KeyringError, match="no current key.*log-archive key create"):
        keyring.load_current(folder)


def test_two_dozen_creators_at_once_end_with_one_key(folder):
    script = "import sys; %s; print(keyring.create(sys.argv[1]).id)" % IMPORT
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    creators = [
        subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE, text=True, env=env) for _index in range(12)
    ]
    ids = {process.communicate()[0].strip() for process in creators}
    assert ids == {keyring.load_current(folder).id}
    assert [key.id for key in keyring.list_keys(folder)] == list(ids)


# -- rotation ----------------------------------------------------------------------------------------------------------


def test_rotate_makes_a_new_current_key_and_the_old_one_still_opens(folder):
    old = keyring.load(folder, keyring.create(folder).id)
    change = keyring.rotate(folder)
    assert change.changed and change.previous == old.id and change.current == change.id != old.id
    assert keyring.load_current(folder).id == change.id
    assert keyring.load(folder, old.id) == old


def test_rotate_by_age_waits_for_the_age(folder):
    first = keyring.create(folder)
    assert keyring.rotate(folder, older_than=HOUR) == (False, first.id, first.id, first.id)
    make_older(folder, first.id, 2 * HOUR)
    assert keyring.rotate(folder, older_than=HOUR).previous == first.id


def test_the_age_is_not_the_one_of_the_file(folder):
    first = keyring.create(folder)
    os.utime(os.path.join(folder, first.id + ".key"), (1, 1))
    assert not keyring.rotate(folder, older_than=HOUR).changed
    make_older(folder, first.id, 2 * HOUR)
    os.utime(os.path.join(folder, first.id + ".key"))
    assert keyring.rotate(folder, older_than=HOUR).changed


def test_an_unknown_age_is_older_than_anything(folder):
    first = keyring.create(folder)
    os.unlink(os.path.join(folder, "keyring.json"))
    assert [key.created for key in keyring.list_keys(folder)] == [None]
    assert keyring.rotate(folder, older_than=1e12).previous == first.id


def test_rotate_without_a_current_key_makes_one(folder):
    keyring.import_key(folder, base64.urlsafe_b64encode(bytes(32)))
    change = keyring.rotate(folder, older_than=HOUR)
    assert change.changed and change.previous is None
    assert keyring.load_current(folder).id == change.current


def test_damaged_ages_stop_a_rotation_by_age_but_no_archive(folder):
    first = keyring.create(folder)
    with open(os.path.join(folder, "keyring.json"), "w", encoding="ascii") as file:
        file.write("{")
    with pytest.raises(KeyringError, match="Remove it"):
        keyring.rotate(folder, older_than=HOUR)
    assert keyring.load_current(folder).id == first.id


# -- import and removal ------------------------------------------------------------------------------------------------


def test_import_takes_a_key_of_another_keyring(tmp_path, folder):
    other = str(tmp_path / "other")
    key = keyring.load(other, keyring.create(other).id)
    first = keyring.create(folder)
    assert keyring.import_key(folder, text_of(other, key.id)) == (True, key.id, first.id, first.id)
    assert keyring.load(folder, key.id) == key
    assert keyring.import_key(folder, text_of(other, key.id)) == (False, key.id, first.id, first.id)
    assert keyring.import_key(folder, text_of(other, key.id).encode(), make_current=True) == (True, key.id, first.id, key.id)
    assert keyring.load_current(folder) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "verysecretpassword",
        "A" * 44,
        "A" * 42 + "==",
        "A" * 43 + "=" + "A",
        "+" * 43 + "=",
        "é" * 43 + "=",
        "A" * 43 + "=\n" + "B" * 43 + "=",
    ],
)
def test_import_refuses_what_is_no_key_and_does_not_show_it(folder, text):
    with pytest.raises(KeyringError, match="not a Fernet key") as failure:
        keyring.import_key(folder, text)
    assert not text or text not in "".join(traceback.format_exception(None, failure.value, None))
    assert not os.path.exists(folder)


def test_remove_moves_the_key_and_import_brings_it_back(folder):
    old = keyring.load(folder, keyring.create(folder).id)
    text = text_of(folder, old.id)
    created = keyring.list_keys(folder)[0].created
    new = keyring.rotate(folder)
    assert keyring.remove(folder, old.id) == (True, old.id, new.id, new.id)
    assert text_of(os.path.join(folder, "removed"), old.id) == text
    assert os.stat(os.path.join(folder, "removed")).st_mode & 0o7777 == 0o700
    with pytest.raises(
        KeyringError, match="key %s is needed.*holds %s.*taken out of use.*removed/%s.key.*key import" % (old.id, new.id, old.id)
    ):
        keyring.load(folder, old.id)
    assert keyring.remove(folder, old.id) == (False, old.id, new.id, new.id)
    assert {(key.id, key.current, key.removed) for key in keyring.list_keys(folder)} == {(new.id, True, False), (old.id, False, True)}

    assert keyring.import_key(folder, text).changed
    assert keyring.load(folder, old.id) == old
    assert os.listdir(os.path.join(folder, "removed")) == []
    assert {key.id: key.created for key in keyring.list_keys(folder)}[old.id] == created


def test_remove_refuses_the_current_key(folder):
    first = keyring.create(folder)
    before = state(folder)
    with pytest.raises(KeyringError, match="Rotate first"):
        keyring.remove(folder, first.id)
    assert state(folder) == before


def test_remove_of_a_damaged_key_does_not_replace_a_good_copy(folder):
    old = keyring.create(folder).id
    text = text_of(folder, old)
    keyring.rotate(folder)
    keyring.remove(folder, old)
    with open(os.path.join(folder, old + ".key"), "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("rubbish")
    with pytest.raises(KeyringError, match="damaged"):
        keyring.remove(folder, old)
    assert text_of(os.path.join(folder, "removed"), old) == text


def test_a_missing_key_is_named_with_those_that_are_there(folder):
    first = keyring.create(folder)
    with pytest.raises(KeyringError, match="key 0123456789abcdef is needed.*holds %s.*log-archive key import" % first.id) as failure:
        keyring.load(folder, "0123456789abcdef")
    assert failure.value.exit_code == EXIT_CONFIG
    with pytest.raises(KeyringError, match="0123456789abcdef"):
        keyring.remove(folder, "0123456789abcdef")


@pytest.mark.parametrize("id", ["../../etc/shadow", "", "0123456789ABCDEF", "0123456789abcdef/", "0123456789abcdef\n"])
def test_an_id_cannot_lead_out_of_the_keyring(folder, id):
    keyring.create(folder)
    for function in (keyring.load, keyring.remove):
        with pytest.raises(KeyringError, match="not a key id"):
            function(folder, id)


def test_list_is_in_order_of_age(folder):
    first = keyring.create(folder).id
    second = keyring.rotate(folder).id
    third = keyring.rotate(folder).id
    make_older(folder, second, 100)
    make_older(folder, third, 50)
    assert [key.id for key in keyring.list_keys(folder)] == [second, third, first]
    assert abs(keyring.list_keys(folder)[-1].created - time.time()) < HOUR


# -- check mode --------------------------------------------------------------------------------------------------------


def test_check_of_a_missing_keyring_makes_nothing(tmp_path, folder):
    text = base64.urlsafe_b64encode(bytes(32))
    assert keyring.create(folder, check=True) == (True, None, None, None)
    assert keyring.import_key(folder, text, make_current=True, check=True) == (
        True,
        keyring.key_id(bytes(32)),
        None,
        keyring.key_id(bytes(32)),
    )
    assert os.listdir(tmp_path) == []


def test_check_says_what_the_real_call_does_and_changes_nothing(folder):
    first = keyring.create(folder).id
    second = keyring.rotate(folder).id
    before = state(folder)
    text = base64.urlsafe_b64encode(bytes(32))
    for call in (
        lambda check: keyring.create(folder, check=check),
        lambda check: keyring.rotate(folder, older_than=HOUR, check=check),
        lambda check: keyring.import_key(folder, text_of(folder, second), check=check),
        lambda check: keyring.remove(folder, first, check=check),
        lambda check: keyring.import_key(folder, text, check=check),
        lambda check: keyring.import_key(folder, text, make_current=True, check=check),
    ):
        before = state(folder)
        said = call(True)
        assert state(folder) == before
        assert call(False) == said
        assert (state(folder) != before) == said.changed
    before = state(folder)
    assert keyring.rotate(folder, check=True) == (True, None, keyring.key_id(bytes(32)), None)
    assert state(folder) == before


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_could_read_is_refused_with_the_chmod(folder, mode):
    path = os.path.join(folder, keyring.create(folder).id + ".key")
    os.chmod(path, mode)
    with pytest.raises(KeyringError, match="chmod 0600 %s;" % path):
        keyring.load_current(folder)
    subprocess.run(["chmod", "0600", path], check=True)
    keyring.load_current(folder)


def test_a_folder_that_others_can_enter_is_refused_by_every_function_with_the_chmod(tmp_path):
    folder = str(tmp_path / "key ring")
    id = keyring.create(folder).id
    os.chmod(folder, 0o710)
    for call in (
        lambda: keyring.load_current(folder),
        lambda: keyring.load(folder, id),
        lambda: keyring.list_keys(folder),
        lambda: keyring.create(folder),
        lambda: keyring.rotate(folder),
        lambda: keyring.import_key(folder, base64.urlsafe_b64encode(bytes(32))),
        lambda: keyring.remove(folder, id),
    ):
        with pytest.raises(KeyringError, match="chmod 0700 '%s';" % folder):
            call()
    os.chmod(folder, 0o700)
    keyring.load_current(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["folder", "key"])
def test_what_belongs_to_somebody_else_is_refused_with_the_chown(folder, which, monkeypatch):
    id = keyring.create(folder).id
    path = folder if which == "folder" else os.path.join(folder, id + ".key")
    os.chown(path, 65534, 65534)
    os.chmod(path, 0o755)
    # This process may look at every file; what is refused is decided by who it says it is.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(KeyringError, match="chown 1000 %s && chmod 0[67]00 %s;" % (path, path)):
        keyring.load(folder, id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_does_to_the_keyring_of_another_user_belongs_to_that_user(folder, tmp_path):
    os.mkdir(folder, 0o700)
    os.chown(folder, 65534, 65534)
    first = keyring.create(folder).id
    second = keyring.rotate(folder).id
    keyring.remove(folder, first)
    other = str(tmp_path / "other")
    keyring.import_key(folder, text_of(other, keyring.create(other).id), make_current=True)
    assert keyring.load(folder, second).id == second
    owners = {name: os.stat(os.path.join(folder, name)).st_uid for name in [*state(folder), ".lock"]}
    assert len(owners) > 6 and set(owners.values()) == {65534}, owners


@pytest.mark.parametrize(
    "content", [b"", b"A" * 43, b"A" * 44, b"A" * 43 + b"=\nmore", b"\xff" * 44, base64.urlsafe_b64encode(bytes(31)), bytes(99999)]
)
def test_a_damaged_key_file_is_refused_and_import_mends_it(folder, content):
    id = keyring.create(folder).id
    text = text_of(folder, id)
    with open(os.path.join(folder, id + ".key"), "wb") as file:
        file.write(content)
    with pytest.raises(KeyringError, match="damaged.*key import"):
        keyring.load_current(folder)
    assert keyring.import_key(folder, text).changed
    assert keyring.load_current(folder).id == id


def test_a_key_under_the_name_of_another_is_refused(folder):
    first, second = keyring.create(folder).id, keyring.rotate(folder).id
    os.replace(os.path.join(folder, first + ".key"), os.path.join(folder, second + ".key"))
    with pytest.raises(KeyringError, match="another key"):
        keyring.load_current(folder)


@pytest.mark.parametrize("content", ["", "../../etc/passwd\n", "0123456789abcdef 0123456789abcdef\n"])
def test_a_damaged_current_file_is_refused(folder, content):
    keyring.create(folder)
    with open(os.path.join(folder, "current"), "w", encoding="ascii") as file:
        file.write(content)
    for call in (keyring.load_current, keyring.create, keyring.rotate):
        with pytest.raises(KeyringError, match="one key id"):
            call(folder)


def test_a_current_key_that_is_missing_is_not_replaced_silently(folder):
    id = keyring.create(folder).id
    os.unlink(os.path.join(folder, id + ".key"))
    for call in (keyring.load_current, keyring.create):
        with pytest.raises(KeyringError, match="key %s is needed" % id):
            call(folder)


def test_a_full_disk_changes_nothing(small_filesystem):
    parent = small_filesystem(128 * 1024)
    folder = str(parent / "keyring")
    first = keyring.create(folder)
    with open(parent / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    before = state(folder)
    with pytest.raises(KeyringError, match="No space left"):
        keyring.rotate(folder)
    assert state(folder) == before
    assert keyring.load_current(folder).id == first.id


def test_what_a_killed_writer_left_is_removed_by_the_next_change(folder):
    keyring.create(folder)
    leftover = os.path.join(folder, ".log-archive-0123456789abcdef.key-0.part")
    with open(leftover, "w", encoding="ascii") as file:
        file.write("half a key")
    keyring.rotate(folder)
    assert not os.path.exists(leftover)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_way_to_print_a_key_shows_it(folder):
    key = keyring.load(folder, keyring.create(folder).id)
    shown = " ".join([repr(key), str(key), "%s %r" % (key, [key]), f"{key} {key!r} {(key,)!s}"])
    assert key.id in shown
    for secret in (repr(key.secret), repr(key.secret)[2:-1], key.secret.hex(), base64.urlsafe_b64encode(key.secret).decode()):
        assert secret not in shown


def test_the_keyring_needs_no_third_party_library():
    script = "import sys; %s; print('cryptography' in sys.modules)" % IMPORT
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False).stdout == "False\n"
