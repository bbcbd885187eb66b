# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real cron in its own mount namespace, on a clock that a test sets (libfaketime), and with it all that this cron starts."""

from __future__ import annotations

import contextlib
import datetime
import glob
import os
import pathlib
import signal
import time
import typing as t

from .processes import Daemon, Unavailable, children_of, need_program

LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"
# It sees this crontab and none of the machine's: those would come due, too, when the clock passes their hours.
START = """\
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d
mount -t tmpfs -o mode=1730,gid=crontab tmpfs /var/spool/cron/crontabs
: > /run/crontab
mount --bind /run/crontab /etc/crontab
cp "$1" /etc/cron.d/lab
chmod 644 /etc/cron.d/lab
shift
exec env "$@"
"""


class Cron:
    """A running cron. zone: its time zone, in which its crontab is read."""

    def __init__(self, folder: pathlib.Path, zone: str) -> None:
        import zoneinfo

        libraries = glob.glob(LIBRARY)
        if not libraries:
            raise Unavailable("libfaketime is not installed: 'apt-get install libfaketime'")
        self.zone = zoneinfo.ZoneInfo(zone)
        self._clock = folder / "clock"
        self.environment = {
            "TZ": zone,
            "LD_PRELOAD": libraries[0],
            # What starts reads it. Files keep their times.
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.daemon: Daemon

    def at(self, text: str) -> datetime.datetime:
        """A time of its zone: '2024-10-27 23:00'."""
        return datetime.datetime.fromisoformat(text).replace(tzinfo=self.zone)

    def set(self, moment: datetime.datetime) -> None:
        """Set the clock of everything that this cron starts, at once."""
        part = self._clock.with_suffix(".part")
        part.write_text("%+f\n" % (moment.timestamp() - time.time()), encoding="ascii")
        part.replace(self._clock)

    def let_pass(self, until: datetime.datetime, step: datetime.timedelta = datetime.timedelta(hours=1)) -> None:
        """Let the time until then pass in steps; after each cron looks at its clock."""
        now = datetime.datetime.fromtimestamp(time.time() + float(self._clock.read_text(encoding="ascii")), datetime.timezone.utc)
        while now < until:
            now = min(now + step, until.astimezone(datetime.timezone.utc))
            self.set(now)
            # A signal ends its sleep, as the end of a child does.
            os.kill(self.daemon.pid, signal.SIGCHLD)
            time.sleep(0.05)

    def is_idle(self) -> bool:
        """Whether nothing runs that it has started."""
        return not children_of(self.daemon.pid)


@contextlib.contextmanager
def faked_cron(
    folder: t.Union[str, os.PathLike[str]],
    lines: t.Sequence[str],
    environment: t.Mapping[str, str],
    start: str,
    zone: str,
) -> t.Iterator[Cron]:
    """Run cron with a clock that begins at ``start`` until the context ends. Needs root.

    lines: as in a file of /etc/cron.d, with a user; environment: of what they start, beside what fakes the clock.
    """
    if os.geteuid() != 0:
        raise Unavailable("a separate cron needs root")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cron = Cron(folder, zone)
    cron.set(cron.at(start))
    table = folder / "crontab"
    # cron passes none of its environment on.
    settings = ['%s="%s"' % item for item in {"MAILTO": "", **cron.environment, **environment}.items()]
    table.write_text("\n".join([*settings, *lines]) + "\n", encoding="utf-8")
    argv = [need_program("unshare", "util-linux"), "--mount", "--propagation=private", "sh", "-c", START, "sh", str(table)]
    # cron itself reads it again at each look at the clock, which is many times slower.
    argv += ["FAKETIME_NO_CACHE=1", *("%s=%s" % item for item in cron.environment.items())]
    log = str(folder / "cron.log")
    cron.daemon = Daemon([*argv, need_program("cron", "cron"), "-f"], log, lambda: _has_pid_file(cron.daemon.pid))
    try:
        cron.daemon.start()
        yield cron
    finally:
        cron.daemon.stop()


def _has_pid_file(pid: int) -> bool:
    return os.path.exists("/proc/%d/root/run/crond.pid" % pid)
