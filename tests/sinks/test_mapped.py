# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of somebody else, filled by a map of columns, with the real servers: what they do not take, and what was changed in them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from lab.databases import DATABASE, USER
from rigs.databases import Place
from rigs.streams import document, upload

pytestmark = pytest.mark.xdist_group("databases")

COLUMNS = {"size": "size_bytes", "name": "username", "address": "client_ip", "id": "row_id"}
TABLE = "CREATE TABLE logdata (size {size}, name {name}, address {address}, id VARCHAR(80) PRIMARY KEY) {end};"
PLAIN = {"size": "BIGINT", "name": "VARCHAR(255)", "address": "VARCHAR(64)", "end": ""}
SIGNAL = "CREATE TRIGGER no BEFORE INSERT ON logdata FOR EACH ROW IF NEW.size = 5 THEN SIGNAL SQLSTATE '45000'; END IF"
FUNCTION = "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN %s RETURN NEW; END $$ LANGUAGE plpgsql;"
TRIGGER = FUNCTION + "CREATE TRIGGER no BEFORE INSERT ON logdata FOR EACH ROW EXECUTE FUNCTION no()"


def wanted_of(tmp_path: t.Any, place: Place) -> t.Any:
    return document(tmp_path, sinks=[{**place.sink, "table": "logdata", "columns": COLUMNS}])


def create(server: t.Any, changes: t.Dict[str, str], further: str = "") -> None:
    made = TABLE.format(**{**PLAIN, **changes})
    if server.kind == "mariadb":
        server.run_sql("USE %s; %s\ndelimiter //\n%s//\n" % (DATABASE, made, further or "SELECT 1"))
    else:
        server.run_sql("%s ALTER TABLE logdata OWNER TO %s; %s" % (made, USER, further))


def catch_up(wanted: t.Any) -> t.Any:
    return follower.catch_up(wanted, sleep=lambda _seconds: None)["sinks"][0]


REFUSED: t.Dict[str, t.Tuple[str, t.Dict[str, str], str]] = {
    # The kind of server, the table, and what more is in the database.
    "the address is none": ("mariadb", {"address": "INET4"}, ""),
    "a calculated column is too large": ("mariadb", {"end": "", "address": "VARCHAR(64), twice BIGINT AS (size * 1000000000) STORED"}, ""),
    "there is no partition": ("mariadb", {"end": "PARTITION BY RANGE (size) (PARTITION p VALUES LESS THAN (100))", "size": "BIGINT"}, ""),
    "a trigger signals": ("mariadb", {}, SIGNAL),
    "an address is none": ("postgresql", {"address": "INET"}, ""),
    "a trigger raises an exception": ("postgresql", {}, TRIGGER % "IF NEW.size = 5 THEN RAISE EXCEPTION 'no'; END IF;"),
    "a deferred key": ("postgresql", {"size": "BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED"}, " "),
    "a trigger fails": ("postgresql", {}, TRIGGER % "IF NEW.size = 5 THEN NEW.size = (SELECT oid FROM pg_class); END IF;"),
}


@pytest.mark.parametrize(
    ("server", "changes", "further"), [pytest.param(*each, id=name) for name, each in REFUSED.items()], indirect=["server"]
)
def test_a_line_that_the_table_refuses_is_rejected(tmp_path, logs, place, server, caplog, changes, further) -> None:
    if "PARTITION" in changes.get("end", ""):
        # Each unique key of a partitioned table has the column by which it is divided.
        server.run_sql("USE %s; %s" % (DATABASE, TABLE.replace("PRIMARY KEY", "").format(**{**PLAIN, **changes})))
    else:
        create(server, changes, further)
    sizes = [*range(5), *range(6, 80)]
    bad = upload(4 if further == " " else 5 if further else 1 << 40, remote_addr="odd name")
    lines = [upload(size) for size in sizes]
    (logs / "sftpgo.log").write_bytes(b"\n".join([*lines[:30], bad, *lines[30:], b""]))
    result = catch_up(wanted_of(tmp_path, place))
    assert (result["error"], result["rows"], result["rejected"]) == (None, 79, 1)
    assert [int(each[0]) for each in place.rows("SELECT size FROM logdata ORDER BY size")] == sizes
    assert place.rows("SELECT reason FROM ingest_rejected") == [["database"]]
    # Without a handler, Python would print what the driver logs.
    assert [record for record in caplog.records if record.name.startswith("psycopg")] == []


def test_names_that_are_words_of_sql(tmp_path, logs, place, server) -> None:
    (logs / "sftpgo.log").write_bytes(b"".join(upload(number) + b"\n" for number in range(60)))
    quote = "`" if server.kind == "mariadb" else '"'
    made = "CREATE TABLE {q}order{q} ({q}user{q} VARCHAR(255), {q}group{q} BIGINT, Mixed VARCHAR(80));".format(q=quote)
    use, owner = ("USE %s; " % DATABASE, "") if server.kind == "mariadb" else ("", 'ALTER TABLE "order" OWNER TO %s;' % USER)
    server.run_sql(use + made + owner)
    columns = {"user": "username", "group": "size_bytes", "Mixed": "row_id"}
    wanted = document(tmp_path, sinks=[{**place.sink, "table": "order", "columns": columns}])
    assert (catch_up(wanted)["rows"], catch_up(wanted)["error"]) == (60, None)
    assert place.rows("SELECT COUNT(DISTINCT Mixed), SUM({q}group{q}) FROM {q}order{q}".format(q=quote)) == [["60", "1770"]]


def test_a_calculated_column_cannot_be_filled_and_is_named(tmp_path, logs, place, server) -> None:
    create(server, {"address": "VARCHAR(64)", "size": "INT, n INT, size2 BIGINT %s AS (n * 2) STORED" % GENERATED[server.kind]})
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    wanted = document(tmp_path, sinks=[{**place.sink, "table": "logdata", "columns": {**COLUMNS, "size2": "size_bytes"}}])
    assert "size2" in catch_up(wanted)["error"]
    assert "Compare the table logdata with 'columns'" in catch_up(wanted)["error"]
    assert catch_up(wanted_of(tmp_path, place))["rows"] == 1


GENERATED = {"mariadb": "", "postgresql": "GENERATED ALWAYS"}


def test_a_view_is_no_table(tmp_path, place, server) -> None:
    create(server, {})
    use = "USE %s; " % DATABASE if server.kind == "mariadb" else ""
    server.run_sql(use + "ALTER TABLE logdata RENAME TO other; CREATE VIEW logdata AS SELECT * FROM other;")
    assert "logdata is not a table of this database but a view" in catch_up(wanted_of(tmp_path, place))["error"]
