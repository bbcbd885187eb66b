# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-playbook without importing Ansible each time: two thirds of a second of a processor for each run.

A process imports Ansible once, with one environment, and forks a copy of itself for each run. The copy is what a new process is after its
imports: no playbook, inventory or host of another run is in it.

A second process does the same for modules that run on this machine. It has imported what modules use of Python and of libraries, and
nothing of Ansible: that comes out of the packed module, as always.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import gc
import importlib
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
import typing as t

# The plugins of every run, by their kinds, and a filter: with it, all filters of the collection are imported.
PLUGINS = {
    "connection": ("ansible.builtin.ssh", "ansible.builtin.local"),
    "inventory": ("ansible.builtin.host_list", "ansible.builtin.script", "ansible.builtin.auto", "ansible.builtin.yaml"),
    "strategy": ("ansible.builtin.linear",),
    "action": ("ansible.builtin.normal", "ansible.builtin.command", "ansible.builtin.assert", "ansible.builtin.debug"),
    "lookup": ("ansible.builtin.file", "infra_ops.log_archive.jobs"),
    "filter": ("infra_ops.log_archive.sftp_account",),
    "test": ("ansible.builtin.match",),
}
# What most modules import: two thirds of their time.
LIBRARIES = (
    *(
        "ast",
        "configparser",
        "ctypes.util",
        "dataclasses",
        "email.mime.multipart",
        "grp",
        "http.cookiejar",
        "inspect",
        "ipaddress",
        "locale",
    ),
    *("multiprocessing", "netrc", "platform", "pwd", "runpy", "sqlite3", "ssl", "syslog", "tarfile", "urllib.request", "uuid", "zipfile"),
    *("cryptography.fernet", "cryptography.x509", "yaml"),
)


class WarmAnsible:
    """The process that has imported Ansible, from outside. Close it.

    enter: a command line before its own, such as one that enters a namespace; environment: that of all runs; errors: a file for what the
    process itself prints; libraries: what modules on this machine import beside LIBRARIES, as the clients of stores.
    """

    def __init__(
        self, enter: t.Sequence[str], environment: t.Mapping[str, str], errors: pathlib.Path, libraries: t.Sequence[str] = ()
    ) -> None:
        self.environment = dict(environment)
        self._errors = errors
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(errors, "ab") as log:
            self._process = subprocess.Popen(
                [*enter, sys.executable, __file__, str(theirs.fileno()), *libraries],
                env=self.environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def run(self, argv: t.Sequence[str], cwd: str, timeout: t.Optional[float] = None) -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook, without input, and return it with its output as text."""
        request = {"argv": list(argv), "cwd": cwd}
        with open(os.devnull, "rb") as nothing, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            try:
                code = ask(self._channel, request, (nothing, out, err), timeout)
            except RuntimeError as error:
                raise RuntimeError("%s: %s" % (error, self._errors.read_text(encoding="utf-8"))) from error
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(list(argv), code or 0, out.read(), err.read())
        if code is None:
            raise subprocess.TimeoutExpired(done.args, t.cast(float, timeout), done.stdout, done.stderr)
        return done

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        self._process.wait()


def ask(
    channel: socket.socket, request: t.Mapping[str, t.Any], streams: t.Sequence[t.IO[t.Any]], timeout: t.Optional[float]
) -> t.Optional[int]:
    """Let a process that serves the other end of the channel fork for this request. Returns the status of the copy; None if it took too
    long, and was killed. streams: its input, its output and its errors."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as status:
        with open(writer, "wb", buffering=0):
            socket.send_fds(channel, [json.dumps(request).encode()], [*(each.fileno() for each in streams), writer])
        pid = _number(status, None)
        code = _number(status, timeout)
        if code is None:
            os.kill(t.cast(int, pid), signal.SIGKILL)
            _number(status, None)
    return code


def _number(status: t.IO[bytes], timeout: t.Optional[float]) -> t.Optional[int]:
    """The next number of the process that serves: the pid of a copy, then its status. None if it does not come in time."""
    if not select.select([status], [], [], timeout)[0]:
        return None
    read = status.read(8)
    if len(read) != 8:
        raise RuntimeError("the process that forks for each run has ended")
    return int.from_bytes(read, "big", signed=True)


def copy_no_strings() -> None:
    """Let copies in depth share Ansible's strings and numbers, which know where they are from: nothing can change them."""
    from ansible.module_utils._internal import _datatag

    for tagged in _datatag.AnsibleTaggedObject.__subclasses__():
        if issubclass(tagged, (str, bytes, int, float, datetime.date, datetime.time)):
            tagged.__deepcopy__ = lambda value, memo: value


# -- in the process itself ---------------------------------------------------------------------------------------------


def serve(channel: socket.socket) -> t.Optional[t.Tuple[t.Dict[str, t.Any], t.List[int]]]:
    """Fork for each request. Returns in each copy, with the request and the descriptors of its input and output; else at the end, None.

    A copy is killed if the process that asked for it ends, as a test may kill it together with its playbook.
    """
    running: t.Dict[int, t.Tuple[int, int]] = {}
    asked: t.Dict[int, int] = {}
    waits = select.poll()
    waits.register(channel, select.POLLIN)
    while True:
        for ready, _event in waits.poll():
            if ready == channel.fileno():
                request, (*streams, status), _flags, _address = _received(channel)
                if not request:
                    return None
                pid = os.fork()
                if pid == 0:
                    channel.close()
                    for each in [status, *running, *(number for _pid, number in running.values())]:
                        os.close(each)
                    return json.loads(request), streams
                for each in streams:
                    os.close(each)
                os.setpgid(pid, pid)
                _answer(status, pid)
                process = os.pidfd_open(pid)
                running[process] = (pid, status)
                asked[status] = pid
                waits.register(process, select.POLLIN)
                waits.register(status, 0)  # The end of its reader is reported in any case.
            elif ready in asked:
                waits.unregister(ready)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(asked.pop(ready), signal.SIGKILL)
            elif ready in running:
                pid, status = running.pop(ready)
                waits.unregister(ready)
                os.close(ready)
                if asked.pop(status, None) is not None:
                    waits.unregister(status)
                _answer(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(status)


def _answer(status: int, number: int) -> None:
    """Send a number to the process that asked, unless it has ended."""
    with contextlib.suppress(BrokenPipeError):
        os.write(status, number.to_bytes(8, "big", signed=True))


def _received(channel: socket.socket) -> t.Tuple[bytes, t.List[int], int, t.Any]:
    """The next request; an empty one without descriptors at the end."""
    request, descriptors, flags, address = socket.recv_fds(channel, 1 << 20, 4)
    return request, descriptors or [-1], flags, address


def begin(request: t.Mapping[str, t.Any], streams: t.Sequence[int]) -> None:
    """In a copy: take the folder, the input and the output of the request."""
    os.chdir(request["cwd"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


def main() -> None:
    """Import Ansible with all that every run uses, and serve."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    # As with the program ansible-playbook, nothing is imported from here.
    del sys.path[0]
    to_modules = start_modules([*LIBRARIES, *sys.argv[2:]], channel)
    if to_modules is None:
        return
    ask_for_modules(to_modules)
    from ansible import constants
    from ansible.cli import playbook
    from ansible.plugins import loader

    for kind, names in PLUGINS.items():
        for name in names:
            getattr(loader, kind + "_loader").get(name, class_only=True)
    copy_no_strings()
    gc.collect()
    gc.freeze()
    found = serve(channel)
    if found is None:
        return
    request, streams = found
    begin(request, streams)
    # The folder of temporary files is a run's own.
    parent = os.path.dirname(constants.DEFAULT_LOCAL_TMP)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix="ansible-local-%d" % os.getpid(), dir=parent)
    atexit.register(shutil.rmtree, constants.DEFAULT_LOCAL_TMP)
    sys.argv = request["argv"]
    playbook.main()


def once(argv: t.Sequence[str], libraries: t.Sequence[str]) -> None:
    """Be ansible-playbook, with modules on this machine forked from a process that has these libraries, too."""
    to_modules = start_modules([*LIBRARIES, *libraries])
    if to_modules is None:
        return
    ask_for_modules(to_modules)
    from ansible.cli import playbook

    copy_no_strings()
    sys.argv = list(argv)
    playbook.main()


def start_modules(libraries: t.Sequence[str], *others: socket.socket) -> t.Optional[socket.socket]:
    """Start the process that forks for modules; return how to ask it. In that process and in its copies: run, and return None.

    others: sockets that are none of its business.
    """
    to_modules, modules = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        modules.close()
        return to_modules
    for each in (to_modules, *others):
        each.close()
    run_modules(modules, libraries)
    return None


def ask_for_modules(channel: socket.socket) -> None:
    """Import Ansible, and let its connection to this machine run modules by ``run_modules``: those for this interpreter, with no login or
    environment of their own. Every other command it runs as always."""
    from ansible import cli
    from ansible.plugins import loader
    from ansible.utils.display import Display

    loader.init_plugin_loader()
    # A run would do this again, and warn.
    cli.init_plugin_loader = lambda *_paths: None
    local = loader.connection_loader.get("ansible.builtin.local", class_only=True)
    run = local.exec_command
    # As it is written by one version of Ansible and by later ones.
    plain = ("/bin/sh -c '%s && sleep 0'" % sys.executable, "/bin/sh -c %s" % shlex.quote(sys.executable))

    def exec_command(self: t.Any, cmd: str, in_data: t.Optional[bytes] = None, sudoable: bool = True) -> t.Tuple[int, bytes, bytes]:
        if cmd not in plain or not in_data:
            return run(self, cmd, in_data=in_data, sudoable=sudoable)
        Display().vvv("EXEC %s" % cmd, host=self._play_context.remote_addr)
        umask = os.umask(0o077)
        os.umask(umask)
        request = {"cwd": os.fsdecode(self.cwd), "environment": dict(os.environ), "umask": umask}
        with tempfile.TemporaryFile() as code, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code.write(in_data)
            code.seek(0)
            status = t.cast(int, ask(channel, request, (code, out, err), None))
            out.seek(0)
            err.seek(0)
            return status, out.read(), err.read()

    local.exec_command = exec_command


def run_modules(channel: socket.socket, libraries: t.Sequence[str]) -> None:
    """Serve modules. Most processes that run Ansible on hosts need none on this machine, so the libraries are imported at the first."""
    select.select([channel], [], [])
    for name in libraries:
        # Not every environment has every library.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    found = serve(channel)
    if found is None:
        return
    request, streams = found
    begin(request, streams)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.umask(request["umask"])
    # As an interpreter that reads its program from its input.
    sys.argv = [""]
    sys.path.insert(0, "")
    sys.modules["__main__"] = types.ModuleType("__main__")
    with open(0, "rb", closefd=False) as program:
        code = compile(program.read(), "<stdin>", "exec", dont_inherit=True)
    exec(code, vars(sys.modules["__main__"]))


if __name__ == "__main__":
    main()
