# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes hold a file open for writing."""

from __future__ import annotations

import os
import sys
import typing as t

from ..base.errors import SelectionError


def writers_of(identities: t.Set[t.Tuple[int, int]]) -> t.Dict[t.Tuple[int, int], t.List[str]]:
    """The processes ("PID NAME") that hold these files open for writing, by (st_dev, st_ino); other files are left out.

    Source: proc(5), /proc/PID/fd and the octal ``flags`` of /proc/PID/fdinfo. Processes in other PID namespaces (the host's,
    seen from a container) and on other hosts (NFS) are not seen. Raises SelectionError if processes of other users cannot be inspected.
    """
    if sys.platform != "linux":
        raise SelectionError("which processes hold a file open is known only on Linux", "require_closed", "Use 'quiet' instead")
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    if "1" not in processes:
        raise _blind("other processes")  # /proc is mounted with hidepid.
    writers: t.Dict[t.Tuple[int, int], t.List[str]] = {}
    for process in processes:
        folder = "/proc/%s/fd" % process
        try:
            for descriptor in os.listdir(folder):
                try:
                    status = os.stat("%s/%s" % (folder, descriptor))
                    identity = (status.st_dev, status.st_ino)
                    if identity in identities and _opened_for_writing(process, descriptor):
                        who = "%s %s" % (process, _process_name(process))
                        if who not in writers.setdefault(identity, []):
                            writers[identity].append(who)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # It was closed in between.
        except PermissionError as error:
            raise _blind("process %s" % process) from error
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended.
    return writers


def _blind(whom: str) -> SelectionError:
    return SelectionError(
        "the open files of %s cannot be inspected" % whom,
        "require_closed",
        "Run as root or with CAP_SYS_PTRACE (with at least the capabilities of that process), or use 'quiet' instead",
    )


def _opened_for_writing(process: str, descriptor: str) -> bool:
    with open("/proc/%s/fdinfo/%s" % (process, descriptor), encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
    return False


def _process_name(process: str) -> str:
    with open("/proc/%s/comm" % process, encoding="utf-8", errors="replace") as name:
        return name.read().strip()
