# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find problems of a host and its jobs, and the command that fixes each. Nothing is changed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import typing as t
from datetime import datetime, timedelta, timezone

from ..archive import naming
from ..base import protected
from ..base.errors import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, ConfigError, LogArchiveError
from ..base.units import format_duration, format_size, format_utc
from ..config import places
from ..config.spec import DEFAULT_CONFIG
from ..state import folders, status

if t.TYPE_CHECKING:
    from ..config.document import JobDocument, JobStore
    from ..ingest.facts import StreamRow

OK, WARNING, FAILED = "ok", "warning", "failed"
LEAST_FREE = 0.1
"""A file system with a smaller share of free space is reported, and without any free space it failed."""
NOT_SYNCHRONIZED = 5
"""adjtimex(2): TIME_ERROR, nothing corrects the clock."""
CRONTABS = ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly")
CRON = ("cron", "crond")
UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


class Check(t.NamedTuple):
    """What was checked. job: None for the host, "stream NAME" for a stream. state: OK, WARNING or FAILED.

    remedy: what fixes it, if it is not OK.
    exit_code: of the error that was found; 0 unless ``state`` is FAILED.
    """

    job: t.Optional[str]
    check: str
    state: str
    text: str
    remedy: t.Optional[str] = None
    exit_code: int = EXIT_DONE


def host() -> t.Iterator[Check]:
    """Check the host."""
    yield _clock()
    for text in protected.warnings():
        problem, _run, remedy = text.partition(". Run: ")
        yield Check(None, "kernel", WARNING, problem, remedy)


def _clock() -> Check:
    import ctypes

    # A zero in ``modes``, the first field of the structure, only reads. The structure is smaller.
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(1024)) == NOT_SYNCHRONIZED:
        return Check(None, "clock", WARNING, "the kernel does not report the clock as synchronized", "timedatectl set-ntp true")
    return Check(None, "clock", OK, "synchronized")


def unusable(job: str, error: LogArchiveError) -> Check:
    """A job that cannot be checked: its document cannot be used."""
    return _failed(job, "document", error, "log-archive check-config %s" % shlex.quote(job))


def stream(row: StreamRow) -> Check:
    """A stream in one sink, as ``log-archive streams`` judges it."""
    name, check = "stream " + row["stream"], "sink " + row["sink"]
    if row["exit_code"] == EXIT_DONE:
        return Check(name, check, OK, row["state"])
    remedy = "log-archive streams %s" % shlex.quote(row["stream"])
    if row["exit_code"] == EXIT_PARTLY:
        return Check(name, check, WARNING, row["state"], remedy)
    return Check(name, check, FAILED, row["error"] or row["state"], remedy, row["exit_code"])


def job(document: JobDocument, config: str = DEFAULT_CONFIG) -> t.Iterator[Check]:
    """Check a job: its folders, logs, space, keys, interrupted rewrap, stores, schedule and last runs. config: where its document is."""
    for check in (_folders, _logs, _space, _keys, _rewraps):
        yield from check(document)
    for store in document["stores"]:
        yield _store(document, store)
    yield _schedule(document, config)
    yield _runs(document)


def _failed(job: t.Optional[str], check: str, error: LogArchiveError, remedy: t.Optional[str] = None) -> Check:
    text = error.message if error.subject is None else "%s: %s" % (error.subject, error.message)
    problems = getattr(error, "problems", None) or ()
    return Check(job, check, FAILED, "; ".join([text, *problems]), remedy or error.hint, error.exit_code)


def _folders(document: JobDocument) -> t.Iterator[Check]:
    """The folders that the job writes to, or its parents if they do not exist yet."""
    job, user = document["name"], folders.user_name(os.geteuid())
    wrong = [
        Check(job, "folders", FAILED, text, "run the playbook site, or create it by hand", EXIT_CONFIG) for text in places.missing(document)
    ]  # fmt: skip
    for option, path in (("state", document["state"]), ("spool", document["spool"])):
        try:
            folders.check(path)
        except ConfigError as error:
            wrong.append(_failed(job, "folders", error))
            continue
        there = _nearest(path)
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            text = "%s: the file system of %s is read-only" % (option, there)
            remedy = "find out why in the kernel's log (dmesg), then: mount -o remount,rw %s" % shlex.quote(_mount_point(there))
            wrong.append(Check(job, "folders", FAILED, text, remedy, EXIT_FAILED))
        elif not os.access(there, os.W_OK | os.X_OK):
            text = "%s: the user %s cannot write to %s" % (option, user, there)
            wrong.append(Check(job, "folders", FAILED, text, "chown %s %s" % (user, shlex.quote(there)), EXIT_FAILED))
    yield from wrong or [Check(job, "folders", OK, "state and spool can be written")]


def _logs(document: JobDocument) -> t.Iterator[Check]:
    """The folders with the logs, as far as the job names them without patterns."""
    if document["select"] is None:
        return
    wrong, user = False, folders.user_name(os.geteuid())
    for path in document["select"]["paths"]:
        if re.search(r"[*?\[]", path):
            continue
        if not os.path.isdir(path):
            wrong = True
            text, remedy = "the folder %s does not exist" % path, "mkdir, or correct select.paths of the job"
        elif not os.access(path, os.R_OK | os.X_OK):
            wrong = True
            text = "the user %s cannot read %s" % (user, path)
            remedy = "setfacl -m u:%s:rx %s" % (user, shlex.quote(path))
        else:
            continue
        yield Check(document["name"], "logs", FAILED, text, remedy, EXIT_FAILED)
    if not wrong:
        yield Check(document["name"], "logs", OK, "the folders of the logs can be read")


def _space(document: JobDocument) -> t.Iterator[Check]:
    seen: t.Set[int] = set()
    places_of = {"state": document["state"], "spool": document["spool"]}
    places_of.update({"store " + store["name"]: store["path"] for store in document["stores"] if store["type"] == "file" and store["path"]})
    for option, path in places_of.items():
        there = _nearest(path)
        try:
            device, found = os.stat(there).st_dev, os.statvfs(there)
        except OSError as error:
            yield Check(document["name"], "space", FAILED, "%s: %s: %s" % (option, there, error.strerror), None, EXIT_FAILED)
            continue
        if device in seen:
            continue
        seen.add(device)
        free = found.f_bavail * found.f_frsize
        text = "%s: %s of %s free (%s)" % (option, format_size(free), format_size(found.f_blocks * found.f_frsize), there)
        # A file system without a fixed number of inodes reports 0 of them.
        full = found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)
        scarce = found.f_bavail < LEAST_FREE * found.f_blocks or found.f_favail < LEAST_FREE * found.f_files
        if full or scarce:
            if found.f_favail < LEAST_FREE * found.f_files:
                text += ", %d of %d inodes free" % (found.f_favail, found.f_files)
            state, code = (FAILED, EXIT_FAILED) if full else (WARNING, EXIT_DONE)
            yield Check(document["name"], "space", state, text, "log-archive prune %s --dry-run" % shlex.quote(document["name"]), code)
        else:
            yield Check(document["name"], "space", OK, text)


def _keys(document: JobDocument) -> t.Iterator[Check]:
    from ..crypto import keyring

    folder, job = document["encryption"]["keyring"], document["name"]
    if folder is None:
        count = len(document["encryption"]["recipients"])
        text = "encrypted for %d recipient%s; the host keeps no key" % (count, "" if count == 1 else "s") if count else "not encrypted"
        yield Check(job, "keys", OK, text)
        return
    try:
        keyring.load_current(folder)
        keys = [key for key in keyring.list_keys(folder) if not key.removed]
    except LogArchiveError as error:
        missing = not os.path.isdir(folder)
        yield _failed(job, "keys", error, "log-archive key create %s" % shlex.quote(job) if missing else None)
        return
    created = next((key.created for key in keys if key.current), None)
    age = "" if created is None else ", %s old" % format_duration(max(0.0, datetime.now(timezone.utc).timestamp() - created))
    yield Check(job, "keys", OK, "the current key can be read%s; %d in all" % (age, len(keys)))


def _store(document: JobDocument, options: JobStore) -> Check:
    """Whether the store answers, and lets this host list. One attempt: somebody waits."""
    from ..stores.opening import open_store

    # Nothing begins with this: the answer is short, whatever the store holds.
    nothing = naming.folder_key(naming.host_name(document["host"]), document["name"]) + "doctor"
    check = "store " + options["name"]
    try:
        with contextlib.closing(open_store(t.cast("JobStore", {**options, "attempts": 1}))) as store:
            store.list(nothing)
            free, location = store.free_bytes(), store.location()
        if options["type"] == "file" and not os.path.isdir(location) and options["name"] in status.of(document)["verified"]:
            text = "%s is not a folder, but archives were verified in it" % location
            return Check(
                document["name"], check, FAILED, text, "mount it, or restore it; 'log-archive status' counts what is missing", EXIT_FAILED
            )
    except LogArchiveError as error:
        return _failed(document["name"], check, error)
    return Check(document["name"], check, OK, "%s answers%s" % (location, "" if free is None else "; %s free" % format_size(free)))


def _schedule(document: JobDocument, config: str) -> Check:
    """Whether cron or a timer of systemd starts the job, and whether that is active."""
    job = document["name"]
    # Cron does not have the environment of a shell.
    where = [] if config == DEFAULT_CONFIG else ["--config", os.path.abspath(config)]
    by_hand = "run the playbook site, or add to a crontab: 5 * * * * %s" % shlex.join([_command(), "run", job, *where])
    unreadable: t.List[str] = []
    for path, text in _crontabs(unreadable):
        if _starts(text, job):
            if not _runs_now(CRON):
                return Check(
                    job, "schedule", FAILED, "%s starts the job, but cron does not run" % path, "systemctl start cron", EXIT_FAILED
                )
            return Check(job, "schedule", OK, "%s starts the job" % path)
    for path, text in _units(unreadable):
        if _starts(text, job):
            timer = os.path.basename(path)[: -len(".service")] + ".timer"
            if _is_active(timer):
                return Check(job, "schedule", OK, "%s starts the job" % timer)
            remedy = "systemctl enable --now %s" % shlex.quote(timer)
            return Check(job, "schedule", FAILED, "%s is not active" % timer, remedy, EXIT_FAILED)
    if unreadable:
        more = " and %d more" % (len(unreadable) - 1) if len(unreadable) > 1 else ""
        text = "found nothing that starts the job, but this user cannot read %s%s" % (unreadable[0], more)
        return Check(job, "schedule", WARNING, text, "run it as root; or else, %s" % by_hand)
    if document["schedule"] is not None:
        return Check(job, "schedule", FAILED, "the job has a schedule, but nothing starts it", by_hand, EXIT_FAILED)
    return Check(job, "schedule", WARNING, "found nothing that starts the job", by_hand)


def _command() -> str:
    """The path of the command: cron does not look in /usr/local/bin."""
    import shutil

    return shutil.which("log-archive") or "/usr/local/bin/log-archive"


def _starts(text: str, job: str) -> bool:
    """Whether a crontab or a unit runs this job, or all jobs."""
    for line in text.splitlines():
        found = None if line.lstrip().startswith("#") else re.search(r"log-archive['\"]?\s+run\b(.*)", line)
        if found and re.search(r"(?<![\w.-])(%s|--all)(?![\w.-])" % re.escape(job), found.group(1)):
            return True
    return False


def _crontabs(unreadable: t.List[str]) -> t.Iterator[t.Tuple[str, str]]:
    """The crontabs that this user can read, with their texts. The others are added to ``unreadable``."""
    for path in CRONTABS:
        yield from _texts(path, "", unreadable)
    own = _output(["crontab", "-l"])
    if own:
        yield "the crontab of %s" % folders.user_name(os.geteuid()), own


def _units(unreadable: t.List[str]) -> t.Iterator[t.Tuple[str, str]]:
    for folder in UNITS:
        yield from _texts(folder, ".service", unreadable)


def _texts(path: str, suffix: str, unreadable: t.List[str]) -> t.Iterator[t.Tuple[str, str]]:
    """The readable files at the path, or in that folder. What this user may not read is added to ``unreadable``."""
    paths = [path]
    if os.path.isdir(path):
        try:
            paths = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(suffix)]
        except OSError:
            unreadable.append(path)
            return
    for one in paths:
        try:
            with open(one, encoding="utf-8", errors="replace") as file:
                yield one, file.read(1 << 20)
        except PermissionError:
            unreadable.append(one)
        except OSError:
            continue  # A folder, or nothing.


def _output(command: t.Sequence[str]) -> t.Optional[str]:
    """What the command prints; None if it fails or does not exist."""
    import subprocess

    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _is_active(unit: str) -> bool:
    return _output(["systemctl", "is-active", unit]) is not None


def _runs_now(names: t.Sequence[str]) -> bool:
    """Whether a process of one of these names runs."""
    for process in os.listdir("/proc") if os.path.isdir("/proc") else []:
        with contextlib.suppress(OSError):
            if process.isdigit():
                with open("/proc/%s/comm" % process, encoding="utf-8", errors="replace") as file:
                    if file.read().strip() in names:
                        return True
    return False


def _rewraps(document: JobDocument) -> t.Iterator[Check]:
    """The record of a rewrap that was interrupted: damaged, it stops each run and verification of the job."""
    from ..state import rewraps

    job = document["name"]
    try:
        stores = sorted(rewraps.unfinished(document["state"], job))
    except LogArchiveError as error:
        yield _failed(job, "rewrap", error)
        return
    if stores:
        text = "a rewrap was interrupted in %s; the next run completes it" % ", ".join(stores)
        yield Check(job, "rewrap", WARNING, text, "log-archive run %s" % shlex.quote(job))


def _runs(document: JobDocument) -> Check:
    """The last runs, as ``log-archive status --offline`` judges them, and whether the clock was set back since."""
    job = document["name"]
    try:
        row = status.of(document)
    except LogArchiveError as error:
        return _failed(job, "runs", error)
    now = datetime.now(timezone.utc)
    if (row["last_run"] or "") > format_utc(now + timedelta(seconds=status.CLOCK_STEP)):
        text = "the last run began at %s, but the clock shows %s" % (row["last_run"], format_utc(now))
        return Check(job, "clock", FAILED, text, "timedatectl set-ntp true", EXIT_FAILED)
    if row["exit_code"] == EXIT_DONE:
        return Check(job, "runs", OK, "last success %s" % row["last_success"])
    run = "log-archive run %s" % shlex.quote(job)
    return Check(job, "runs", FAILED, row["state"], run, row["exit_code"])


def _nearest(path: str) -> str:
    """The path, or the nearest folder above it that exists."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def _mount_point(path: str) -> str:
    """The folder on which the file system of a path is mounted."""
    while not os.path.ismount(path):
        path = os.path.dirname(os.path.realpath(path))
    return path
