# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server processes of the lab: free ports, start, wait until ready, pause, stop by pid."""

from __future__ import annotations

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t

HOST = "127.0.0.1"
# Where 'ip netns' keeps network namespaces.
NAMESPACES = pathlib.Path("/run/netns")
CLONE_NEWNET = 0x40000000
# Seconds that the program of ``patience`` takes on a machine with nothing else to do.
USUAL_START = 0.08


class Unavailable(RuntimeError):
    """This machine lacks a part of the lab; the message names it and the package to install."""


class NotReady(RuntimeError):
    """A server ended, or did not answer in time; the message ends with its log."""


def patience(seconds: float) -> float:
    """The limit for something that takes at most ``seconds`` on a machine with nothing else to do: longer if this one is slow or busy now.

    It starts a program and compares the time that this takes with USUAL_START.
    """
    began = time.monotonic()
    subprocess.run([sys.executable, "-I", "-c", "import asyncio, json, sqlite3, ssl, xml.dom.minidom"], check=True)
    return seconds * max(1.0, (time.monotonic() - began) / USUAL_START)


def overdue(began: float, seconds: float) -> bool:
    """Whether what began at this time.monotonic() takes longer than ``patience(seconds)``, which is measured only once it might."""
    return time.monotonic() - began > seconds and time.monotonic() - began > patience(seconds)


def wait_until(
    condition: t.Callable[[], t.Any], what: t.Union[str, t.Callable[[], object]], seconds: float = 60.0, pause: float = 0.05
) -> t.Any:
    """Return the first true result of ``condition``; AssertionError if there is none within ``patience(seconds)``.

    what: what did not happen, or a function that returns what there is instead; it is called only then. pause: seconds between two looks.
    """
    began = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        if overdue(began, seconds):
            raise AssertionError(what if isinstance(what, str) else "it did not come to that: %s" % (what(),))
        time.sleep(pause)


def need_program(name: str, package: str) -> str:
    """Absolute path of a program (servers often live in sbin, which is not in everyone's PATH)."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise Unavailable("the program '%s' is not installed: 'apt-get install %s'" % (name, package))
    return found


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, and that the kernel gives to no other process within the next minute."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        listener.listen(1)
        port = t.cast(int, listener.getsockname()[1])
        # The side that closes first stays in TIME_WAIT: only who names this port, with SO_REUSEADDR, can have it.
        with socket.create_connection((HOST, port)):
            listener.accept()[0].close()
        return port


def children_of(pid: int) -> t.List[int]:
    """Pids of all descendants of ``pid``, parents before children (Linux)."""
    parents: t.Dict[int, t.List[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as stream:
                # The second field is the program's name in brackets and may hold spaces and brackets itself.
                parent = int(stream.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(name))
    found = []
    waiting = [pid]
    while waiting:
        waiting_next = parents.get(waiting.pop(0), [])
        found += waiting_next
        waiting += waiting_next
    return found


def send(pids: t.Iterable[int], number: int) -> None:
    """Send a signal to each pid that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


class Daemon:
    """One server process in the foreground, its output in a log file.

    ready: called until it returns true; OSError from it means "not yet".
    """

    def __init__(self, argv: t.Sequence[str], log_file: str, ready: t.Callable[[], bool], env: t.Optional[t.Dict[str, str]] = None):
        self.argv = list(argv)
        self.log_file = log_file
        self._ready = ready
        self._env = env
        self._process: t.Optional[subprocess.Popen[bytes]] = None

    @property
    def pid(self) -> int:
        """Pid of the server's first process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for it to be ready."""
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Return once the server answers; raise NotReady if it ends, or does not answer within ``patience(seconds)``."""
        assert self._process is not None, "not started"
        began = time.monotonic()
        while not overdue(began, seconds):
            if self._process.poll() is not None:
                raise NotReady("%s ended with %d: %s" % (self.argv[0], self._process.returncode, self.log_tail()))
            try:
                if self._ready():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.stop()
        raise NotReady("%s does not answer: %s" % (self.argv[0], self.log_tail()))

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait_ready()

    def tree(self) -> t.List[int]:
        """Pids of the server and of everything that it started and that is still below it."""
        return [self.pid] + children_of(self.pid)

    def pause(self) -> None:
        """Freeze the server and its sessions, as a hung host would be: connections stay open, nothing answers."""
        send(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        send(self.tree(), signal.SIGCONT)

    def stop(self) -> None:
        """Kill the server and its sessions; does nothing where it is not running."""
        if self._process is None or self._process.poll() is not None:
            return
        # Frozen first, so that no session can start between the look and the kill.
        send([self.pid], signal.SIGSTOP)
        send(reversed(self.tree()), signal.SIGKILL)
        self._process.wait()

    def log_tail(self, size: int = 2000) -> str:
        """The end of the server's log."""
        with open(self.log_file, encoding="utf-8", errors="replace") as stream:
            return stream.read()[-size:]


def answers(port: int, banner: bytes = b"", host: str = HOST) -> bool:
    """Whether something listens on the port and greets with ``banner``."""
    with socket.create_connection((host, port), timeout=2) as connection:
        return not banner or connection.recv(len(banner)) == banner


def within(namespace: str, function: t.Callable[[], t.Any]) -> t.Any:
    """Call ``function`` in a thread that is in this network namespace; the sockets it makes stay there."""
    outcome: t.Dict[str, t.Any] = {}

    def inside() -> None:
        try:
            with open(NAMESPACES / namespace, encoding="ascii") as stream:
                if ctypes.CDLL(None, use_errno=True).setns(stream.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)
            outcome["result"] = function()
        except BaseException as error:  # whatever it is, the caller gets it
            outcome["error"] = error

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]
