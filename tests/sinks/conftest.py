# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers, each started once per session on first use; the database is empty at the begin of a test."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest
from lab.databases import DATABASE, USER, DatabaseServer, mariadb_server, postgresql_server
from lab.https import Authority
from rigs.databases import Place, started


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def mariadb() -> t.Iterator[DatabaseServer]:
    pytest.importorskip("pymysql")
    with contextlib.ExitStack() as stack:
        yield started(mariadb_server(), stack)


@pytest.fixture(scope="session")
def postgresql() -> t.Iterator[DatabaseServer]:
    pytest.importorskip("psycopg")
    with contextlib.ExitStack() as stack:
        yield started(postgresql_server(), stack)


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request) -> DatabaseServer:
    """A server with an empty database."""
    made: DatabaseServer = request.getfixturevalue(request.param)
    if made.kind == "mariadb":
        made.run_sql("DROP DATABASE %s; CREATE DATABASE %s;" % (DATABASE, DATABASE))
    else:
        made.run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION %s;" % USER)
    return made


@pytest.fixture
def place(server: DatabaseServer) -> Place:
    def rows(statement: str) -> t.List[t.List[str]]:
        use = "USE %s; " % DATABASE if server.kind == "mariadb" else ""
        text = server.run_sql(use + statement + ";")
        return [line.split("\t" if server.kind == "mariadb" else "|") for line in text.splitlines()]

    return Place(server.sink(), rows, server)


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"
