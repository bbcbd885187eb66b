# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups, users, folders and files of a host, for the module host_layout: what differs from what is wanted is changed."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import stat
import tempfile
import typing as t

from ._engine.base import durable

Params = t.Mapping[str, t.Any]
LONGEST_FILE = 16 * 1024 * 1024

ARGUMENTS: t.Dict[str, t.Any] = {
    "groups": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "only_members": {"type": "list", "elements": "str"},
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "create": {"type": "bool", "default": True},
            "comment": {"type": "str", "default": ""},
            "group": {"type": "str"},
            "groups": {"type": "list", "elements": "str", "default": []},
            "optional_groups": {"type": "list", "elements": "str", "default": []},
            "home": {"type": "str"},
            "shell": {"type": "str", "default": "/usr/sbin/nologin"},
        },
    },
    "paths": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["directory", "file", "absent"], "default": "file"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str"},
            "content": {"type": "str"},
            "validate": {"type": "list", "elements": "str"},
            "create_only": {"type": "bool", "default": False},
            "recurse": {"type": "bool", "default": False},
            "if_empty": {"type": "bool", "default": False},
            "unless_files_in": {"type": "path"},
            "requires": {"type": "list", "elements": "path", "default": []},
        },
    },
}
"""The argument spec of a layout."""


class LayoutError(Exception):
    """What failed, on what, and what to do."""


def check_options(params: Params) -> None:
    """Raise LayoutError for options that are wrong or do not go together, and for a user that must exist and does not."""
    for entry in params["paths"]:
        if not os.path.isabs(entry["path"]) or os.path.normpath(entry["path"]) == "/":
            raise LayoutError("path %s: must be an absolute path below /" % entry["path"])
        if entry["mode"] is not None and not re.fullmatch("[0-7]{3,4}", entry["mode"]):
            raise LayoutError("path %s: mode %s: must be octal digits such as '0640'" % (entry["path"], entry["mode"]))
        if entry["state"] != "file" and entry["content"] is not None:
            raise LayoutError("path %s: content needs state=file" % entry["path"])
        for option in ("if_empty", "unless_files_in"):
            if entry[option] and entry["state"] != "absent":
                raise LayoutError("path %s: %s needs state=absent" % (entry["path"], option))
        if entry["validate"] is not None and "%s" not in entry["validate"]:
            raise LayoutError("path %s: validate must have %%s as one of its arguments" % entry["path"])
    wanted = [user for user in params["users"] if user["state"] == "present"]
    missing = [user["name"] for user in wanted if not user["create"] and _user(user["name"]) is None]
    if missing:
        names = ", ".join(missing)
        raise LayoutError("%s: no such user on this host, and create=false. Create the user first, or take the name out" % names)


class Layout:
    """Ensures what is asked for, and notes what changes.

    check: change nothing; run_command: as of AnsibleModule.
    """

    def __init__(self, check: bool, run_command: t.Callable[..., t.Tuple[int, str, str]]) -> None:
        self.changes: t.List[str] = []
        self.left_out: t.List[str] = []
        self.kept: t.List[str] = []
        self.differences: t.List[t.Dict[str, str]] = []
        self._check = check
        self._run_command = run_command
        # In check mode: groups that would exist now, and paths that would not.
        self._would_exist: t.Set[str] = set()
        self._removed: t.Set[str] = set()

    def ensure(self, params: Params) -> None:
        """Ensure groups, users and paths of the module's parameters; raises LayoutError or OSError."""
        for group in params["groups"]:
            if group["state"] == "present":
                self._ensure_group(group["name"])
        for user in params["users"]:
            if user["state"] == "present":
                self._ensure_user(user)
        for group in params["groups"]:
            if group["only_members"] is not None:
                self._remove_members(group["name"], group["only_members"])
        for entry in params["paths"]:
            if not all(os.path.exists(path) for path in entry["requires"]):
                self.left_out.append(entry["path"])
            elif entry["state"] == "absent":
                self._remove(entry)
            elif entry["state"] == "directory":
                self._ensure_folder(entry)
            else:
                self._ensure_file(entry)
        # userdel also removes a group with the name of the user.
        groups = [group["name"] for group in params["groups"] if group["state"] == "absent" and _group(group["name"])]
        for user in params["users"]:
            if user["state"] == "absent":
                self._remove_user(user)
        for name in groups:
            self._note("group %s" % name, "exists\n", "")
            if _group(name):
                self._run("groupdel", name)

    def _note(self, subject: str, before: str, after: str) -> None:
        if subject not in self.changes:
            self.changes.append(subject)
        self.differences.append({"before_header": subject, "before": before, "after_header": subject, "after": after})

    def _run(self, *argv: str) -> None:
        if not self._check:
            code, out, err = self._run_command(list(argv), handle_exceptions=False)
            if code:
                raise LayoutError("%s failed: %s" % (" ".join(argv), (err or out).strip()))

    # -- groups and users ----------------------------------------------------------------------------------------------

    def _ensure_group(self, name: str) -> None:
        if _group(name) is None:
            self._note("group %s" % name, "", "created\n")
            self._would_exist.add(name)
            self._run("groupadd", "--system", name)

    def _ensure_user(self, wanted: Params) -> None:
        name = wanted["name"]
        groups = wanted["groups"] + [group for group in wanted["optional_groups"] if _group(group) or group in self._would_exist]
        there = _user(name)
        if there is None:
            lines = ["created", "group %s" % (wanted["group"] or name), "groups %s" % ",".join(groups)]
            self._note("user %s" % name, "", "".join(line + "\n" for line in lines))
            self._run("useradd", *_creation(wanted, groups), name)
            return
        before, after, options = [], [], []
        if wanted["create"] and there.pw_gecos == wanted["comment"]:
            primary = _group(wanted["group"]) if wanted["group"] else None
            if wanted["group"] and (primary is None or primary.gr_gid != there.pw_gid):
                before.append("group %d" % there.pw_gid)
                after.append("group %s" % wanted["group"])
                options += ["--gid", wanted["group"]]
            for option, is_, field in (("home", there.pw_dir, wanted["home"]), ("shell", there.pw_shell, wanted["shell"])):
                if field is not None and is_ != field:
                    before.append("%s %s" % (option, is_))
                    after.append("%s %s" % (option, field))
                    options += ["--%s" % option, field]
        missing = [group for group in groups if not _is_member(there, group)]
        if missing:
            after.append("member of %s" % ", ".join(missing))
            options += ["--append", "--groups", ",".join(missing)]
        if options:
            self._note("user %s" % name, "".join(line + "\n" for line in before), "".join(line + "\n" for line in after))
            self._run("usermod", *options, name)

    def _remove_user(self, given: Params) -> None:
        there = _user(given["name"])
        if there and given["comment"] in ("", there.pw_gecos):
            self._note("user %s" % given["name"], "exists\n", "")
            self._run("userdel", given["name"])

    def _remove_members(self, name: str, kept: t.Sequence[str]) -> None:
        group = _group(name)
        others = [member for member in group.gr_mem if member not in kept] if group else []
        if others:
            self._note("group %s" % name, "".join("member %s\n" % other for other in others), "")
            for other in others:
                self._run("gpasswd", "--delete", other, name)

    # -- paths ---------------------------------------------------------------------------------------------------------

    def _remove(self, entry: Params) -> None:
        path = entry["path"]
        if not os.path.lexists(path):
            return
        if (entry["if_empty"] and self._has(path, False)) or (entry["unless_files_in"] and self._has(entry["unless_files_in"], True)):
            self.kept.append(path)
            return
        folder = os.path.isdir(path) and not os.path.islink(path)
        self._note(path, "folder\n" if folder else "file\n", "")
        self._removed.add(os.path.normpath(path))
        if not self._check:
            # What came into an empty folder after the look is not lost: then rmdir fails.
            (os.unlink if not folder else os.rmdir if entry["if_empty"] else shutil.rmtree)(path)

    def _has(self, top: str, files: bool) -> bool:
        """Whether a folder has any entry, or any regular file at any depth, that this call has not removed."""
        folders = [os.path.normpath(top)] if os.path.isdir(top) else []
        while folders:
            folder = folders.pop()
            for path in (os.path.join(folder, name) for name in os.listdir(folder)):
                if path in self._removed or not os.path.lexists(path):
                    continue
                if not files or os.path.isfile(path):
                    return True
                if os.path.isdir(path) and not os.path.islink(path):
                    folders.append(path)
        return False

    def _ensure_folder(self, entry: Params) -> None:
        path, wanted = entry["path"], self._attributes(entry, 0o755)
        there = os.stat(path) if os.path.exists(path) else None
        if there is not None and not stat.S_ISDIR(there.st_mode):
            raise LayoutError("%s: is not a folder. Move it away" % path)
        if there is None:
            self._note(path, "", wanted.shown())
            if not self._check:
                _make_folders_above(path)
                os.mkdir(path, 0o700)
                os.chown(path, *wanted.ids())
                os.chmod(path, wanted.mode)
        elif not entry["create_only"] and not wanted.are_those_of(there):
            self._note(path, wanted.shown(there), wanted.shown())
            if not self._check:
                if (there.st_uid, there.st_gid) != wanted.ids() and entry["recurse"]:
                    _give(path, wanted.ids())
                os.chown(path, *wanted.ids())
                os.chmod(path, wanted.mode)

    def _ensure_file(self, entry: Params) -> None:
        path, wanted = entry["path"], self._attributes(entry, 0o644)
        content = None if entry["content"] is None else entry["content"].encode("utf-8")
        there = os.lstat(path) if os.path.lexists(path) else None
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise LayoutError("%s: is a folder, must be a file. Move it away" % path)
        if there is not None and not stat.S_ISREG(there.st_mode):
            # Never through a link: another user may have put it there.
            there = None
        if there is not None and entry["create_only"]:
            return
        before = _read(path) if there is not None and content is not None else b""
        if there is None or (content is not None and before != content):
            shown = "" if there is None else wanted.shown(there) + before.decode("utf-8", "replace")
            self._note(path, shown, wanted.shown() + (content or b"").decode("utf-8"))
            self._write(path, content, wanted, entry["validate"])
        elif not wanted.are_those_of(there):
            self._note(path, wanted.shown(there), wanted.shown())
            if not self._check:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.fchown(fd, *wanted.ids())
                    os.fchmod(fd, wanted.mode)
                finally:
                    os.close(fd)

    def _write(self, path: str, content: t.Optional[bytes], wanted: Attributes, validate: t.Optional[t.Sequence[str]]) -> None:
        if self._check:
            return
        if content is None:
            _create_empty(path, wanted)
            return
        if validate is not None:
            with tempfile.NamedTemporaryFile() as draft:
                draft.write(content)
                draft.flush()
                code, out, err = self._run_command([argument.replace("%s", draft.name) for argument in validate], handle_exceptions=False)
            if code:
                raise LayoutError("%s: %s refuses the new text (%s); the file was not changed" % (path, validate[0], (err or out).strip()))
        durable.write_atomically(path, content, wanted.mode, wanted.ids())

    def _attributes(self, entry: Params, mode: int) -> Attributes:
        user, group = _user(entry["owner"]), _group(entry["group"])
        if not self._check:
            for kind, name, found in (("user", entry["owner"], user), ("group", entry["group"], group)):
                if found is None:
                    raise LayoutError("%s: no such %s on this host: %s" % (entry["path"], kind, name))
        return Attributes(
            entry["owner"],
            entry["group"],
            mode if entry["mode"] is None else int(entry["mode"], 8),
            user.pw_uid if user else None,
            group.gr_gid if group else None,
        )


class Attributes(t.NamedTuple):
    """Owner, group and mode that a path must have; uid and gid are None in check mode for names that do not exist yet."""

    owner: str
    group: str
    mode: int
    uid: t.Optional[int]
    gid: t.Optional[int]

    def ids(self) -> t.Tuple[int, int]:
        """Uid and gid, for chown."""
        if self.uid is None or self.gid is None:
            raise AssertionError("the owner must be looked up first")
        return self.uid, self.gid

    def are_those_of(self, there: os.stat_result) -> bool:
        """Whether a path has these."""
        return (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (self.uid, self.gid, self.mode)

    def shown(self, there: t.Optional[os.stat_result] = None) -> str:
        """A line for a diff: these, or those of a path."""
        if there is None:
            return "owner=%s group=%s mode=%04o\n" % (self.owner, self.group, self.mode)
        return "owner=%s group=%s mode=%04o\n" % (_user_name(there.st_uid), _group_name(there.st_gid), stat.S_IMODE(there.st_mode))


def _creation(wanted: Params, groups: t.Sequence[str]) -> t.List[str]:
    """The options of useradd."""
    options = ["--system", "--no-create-home", "--shell", wanted["shell"], "--comment", wanted["comment"]]
    options += ["--gid", wanted["group"]] if wanted["group"] else ["--user-group"]
    options += ["--home-dir", wanted["home"]] if wanted["home"] else []
    return options + (["--groups", ",".join(groups)] if groups else [])


def _user(name: str) -> t.Optional[pwd.struct_passwd]:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> t.Optional[grp.struct_group]:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _is_member(user: pwd.struct_passwd, name: str) -> bool:
    group = _group(name)
    return group is not None and (user.pw_name in group.gr_mem or user.pw_gid == group.gr_gid)


def _read(path: str) -> bytes:
    """The content of a regular file, at most LONGEST_FILE bytes of it: what is longer differs from any text of ours anyway."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return file.read(LONGEST_FILE)


def _create_empty(path: str, wanted: Attributes) -> None:
    """Create an empty file. What another process wrote meanwhile is not lost: then this raises FileExistsError."""
    if os.path.islink(path):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchown(fd, *wanted.ids())
        os.fchmod(fd, wanted.mode)
    finally:
        os.close(fd)


def _make_folders_above(path: str) -> None:
    """Create the missing folders above a path, as root's with the mode 0755 under any umask."""
    above = os.path.dirname(os.path.normpath(path))
    if not os.path.isdir(above):
        _make_folders_above(above)
        os.mkdir(above, 0o755)
        os.chmod(above, 0o755)


def _give(folder: str, ids: t.Tuple[int, int]) -> None:
    """Give all that is in a folder to a user and a group. No link is followed."""
    for _path, folders, files, fd in os.fwalk(folder, follow_symlinks=False):
        for name in folders + files:
            os.chown(name, *ids, dir_fd=fd, follow_symlinks=False)
