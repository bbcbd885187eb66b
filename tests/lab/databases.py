# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers on 127.0.0.1, from Debian's packages: MariaDB and PostgreSQL, each in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import typing as t

from .filesystems import small_filesystem
from .processes import HOST, Daemon, Unavailable, answers, free_port, need_program

USER, PASSWORD, DATABASE = "follower", "p@ss word%", "logs"


class DatabaseServer:
    """A server with the database DATABASE and its user USER. kind: the type of a sink. run_sql: as the administrator."""

    def __init__(self, kind: str, folder: pathlib.Path, port: int, daemon: Daemon, client: t.Sequence[str]) -> None:
        self.kind = kind
        self.folder = folder
        self.port = port
        self.daemon = daemon
        self._client = list(client)

    def run_sql(self, statements: str) -> str:
        """Execute statements as the administrator; returns what the client prints, without headers."""
        return subprocess.run(self._client, input=statements, capture_output=True, text=True, check=True).stdout

    def sink(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        """The options of a sink in this server."""
        options = {"type": self.kind, "host": HOST, "port": self.port, "database": DATABASE, "user": USER, "password": PASSWORD}
        return {**options, **changes}

    def kill(self) -> None:
        """Kill the server as a crash would."""
        self.daemon.stop()

    def start(self) -> None:
        """Start the server again with the same data."""
        for stale in self.folder.glob("data/postmaster.pid"):
            stale.unlink()
        self.daemon.start()


@contextlib.contextmanager
def _server_folder(user: str, size: t.Optional[int] = None) -> t.Iterator[pathlib.Path]:
    """A folder that the server's own user can reach: those of pytest are private. size: of a file system for it alone."""
    if os.geteuid() != 0:
        raise Unavailable("starting a database server as its own user needs root")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lab-"))
    try:
        with contextlib.nullcontext() if size is None else small_filesystem(folder, size):
            folder.chmod(0o755)
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
            yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def mariadb_server(*options: str, size: t.Optional[int] = None) -> t.Iterator[DatabaseServer]:
    """Run MariaDB until the context ends. options: further arguments of the server. size: of a file system of its own, in bytes."""
    install, server = need_program("mariadb-install-db", "mariadb-server"), need_program("mariadbd", "mariadb-server")
    client = need_program("mariadb", "mariadb-client")
    with _server_folder("mysql", size) as folder:
        data, socket, port = folder / "data", folder / "s.sock", free_port()
        made = [
            install,
            "--no-defaults",
            "--user=mysql",
            "--datadir=%s" % data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        subprocess.run(made, capture_output=True, check=True)
        argv = [server, "--no-defaults", "--user=mysql", "--datadir=%s" % data, "--bind-address=" + HOST, "--port=%d" % port]
        argv += ["--socket=%s" % socket, "--pid-file=%s" % (folder / "pid"), "--innodb-buffer-pool-size=64M", "--skip-log-bin"]
        # A server that starts removes the temporary tables of the others in a common folder.
        argv += ["--tmpdir=%s" % folder, *options]
        daemon = Daemon(argv, str(folder / "log"), lambda: answers(port))
        daemon.start()
        try:
            made_server = DatabaseServer("mariadb", folder, port, daemon, [client, "--no-defaults", "-N", "-S", str(socket), "-uroot"])
            made_server.run_sql(
                "CREATE DATABASE %s; CREATE USER %s@'%%' IDENTIFIED BY '%s'; GRANT ALL ON %s.* TO %s@'%%';"
                % (DATABASE, USER, PASSWORD, DATABASE, USER)
            )
            yield made_server
        finally:
            daemon.stop()


@contextlib.contextmanager
def postgresql_server(*options: str, size: t.Optional[int] = None) -> t.Iterator[DatabaseServer]:
    """Run PostgreSQL until the context ends. options: further arguments of the server. size: of a file system of its own, in bytes."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        raise Unavailable("PostgreSQL is not installed: 'apt-get install postgresql'")
    programs = found[-1]
    with _server_folder("postgres", size) as folder:
        data, port, secret = folder / "data", free_port(), folder / "secret"
        secret.write_text("admin\n")
        as_user = [need_program("setpriv", "util-linux"), "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"]
        made = [
            *as_user,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-A",
            "scram-sha-256",
            "--pwfile=%s" % secret,
            "-E",
            "UTF8",
            "--locale=C",
            *(["--wal-segsize=1"] if size is not None else []),
        ]
        subprocess.run(made, capture_output=True, check=True, cwd=folder)
        argv = [*as_user, str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-h", HOST, *options]
        # It listens before it has recovered.
        is_ready = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        daemon = Daemon(argv, str(folder / "log"), lambda: subprocess.run(is_ready, check=False).returncode == 0)
        daemon.start()
        try:
            url = "postgresql://postgres:admin@%s:%d/" % (HOST, port)
            subprocess.run(
                [str(programs / "psql"), "-qAt", "-v", "ON_ERROR_STOP=1", url + "postgres"],
                input="CREATE USER %s PASSWORD '%s'; CREATE DATABASE %s OWNER %s;" % (USER, PASSWORD, DATABASE, USER),
                text=True,
                check=True,
                capture_output=True,
            )
            yield DatabaseServer(
                "postgresql", folder, port, daemon, [str(programs / "psql"), "-qAt", "-v", "ON_ERROR_STOP=1", url + DATABASE]
            )
        finally:
            daemon.stop()
