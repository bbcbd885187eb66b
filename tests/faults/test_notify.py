# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notifications to real receivers: what arrives, and that a receiver that is down, slow or refuses causes a warning and nothing more."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import notifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import mail as mail_receiver
from lab.https import Authority
from lab.smtp import PASSWORD, USER, sendmail_program, smtp_server
from lab.webhook import TOKEN, webhook
from rigs.host import COMMAND, JOB, Host, archives_in, file_store

EMPTY = {"patterns": ["*"], "period": "none"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def smtp(start_part, tmp_path, authority):
    return start_part(smtp_server(tmp_path / "smtp", authority=authority))


@pytest.fixture
def receiver(start_part, tmp_path, authority):
    return start_part(webhook(tmp_path / "webhook", authority=authority))


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(notifying, "PAUSE", 0.05)
    made = Host(tmp_path / "host")
    made.write_logs(13, 14)
    return made


def mail(smtp, **changes):
    """Options of a mail to the server."""
    options = {
        "type": "mail",
        "when": ["always"],
        "to": ["Ops Team <ops@example.com>", "root@example.com"],
        "from": "archive@example.com",
        "server": smtp.host,
        "port": smtp.port,
        "user": USER,
        "password": PASSWORD,
        "ca_bundle": smtp.authority.certificate_file,
    }
    options.update(changes)
    return {name: value for name, value in options.items() if value is not None}


def chat(receiver, **changes):
    options = {"type": "chat", "when": ["always"], "url": receiver.url(), "ca_bundle": receiver.authority.certificate_file}
    return dict(options, **changes)


def ping(receiver, **changes):
    return dict({"type": "ping", "url": receiver.url("/ping/a-uuid?rid=7"), "ca_bundle": receiver.authority.certificate_file}, **changes)


def run(host, *targets, **changes):
    """A run that archives two logs even if its notifications fail; returns its warnings."""
    recap = host.run(notify=list(targets), **changes)
    assert (recap["exit_code"], recap["errors"], recap["spool"]["archives"]) == (0, [], 0)
    assert len(archives_in(file_store(host.store))) == 2
    return recap["warnings"]


# -- mail -------------------------------------------------------------------------------------------------------------


def test_a_mail_with_starttls_and_a_login(host, smtp):
    assert run(host, mail(smtp, attach_log=True)) == []
    (got,) = smtp.mails
    assert (got.sender, got.recipients) == ("archive@example.com", ["ops@example.com", "root@example.com"])
    assert got.encrypted and got.user == USER
    message = got.message
    assert (message["Subject"], message["To"]) == ("[log-archive] web1 syslog: done", "Ops Team <ops@example.com>, root@example.com")
    assert message["Auto-Submitted"] == "auto-generated" and message["Date"].datetime and message["Message-ID"]
    text = message.get_body(["plain"]).get_content()
    html = message.get_body(["html"]).get_content()
    for expected in ("syslog.20240112.13.tgz.fernet", "syslog.20240112.14.tgz.fernet", "read_back", "web1", "2024-01-12T15:05:00Z"):
        assert expected in text and expected in html
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("events.jsonl.gz", "application/gzip")
    events = [json.loads(line)["event"] for line in gzip.decompress(attached.get_content()).splitlines()]
    assert events[0] == "run_started" and events[-1] == "run_ended"


def test_a_mail_over_tls_from_the_first_byte(host, start_part, tmp_path, authority):
    server = start_part(smtp_server(tmp_path / "smtps", tls="tls", authority=authority))
    assert run(host, mail(server, tls="tls")) == []
    assert server.mails[0].encrypted and server.mails[0].user == USER


def test_a_mail_without_tls_and_login(host, start_part, tmp_path, authority):
    server = start_part(smtp_server(tmp_path / "plain", tls="none", login=False, authority=authority))
    assert run(host, mail(server, tls="none", user=None, password=None, ca_bundle=None)) == []
    assert not server.mails[0].encrypted


def test_a_mail_over_the_mail_system_of_the_host(host, start_part, tmp_path, authority, monkeypatch):
    server = start_part(smtp_server(tmp_path / "mta", tls="none", login=False, authority=authority))
    for name, value in start_part(sendmail_program(tmp_path / "home", server.port)).items():
        monkeypatch.setenv(name, value)
    local = mail(server, server=None, port=None, user=None, password=None, ca_bundle=None, to=["root", "ops@example.com"])
    assert run(host, local) == []
    assert (server.mails[0].sender, server.mails[0].recipients) == ("archive@example.com", ["root", "ops@example.com"])
    assert server.mails[0].message.get_body(["html"]) is not None
    server.refused["root"] = "550 there is no root here"
    (warning,) = run(host, local)
    assert "/sendmail ended with status" in warning and "there is no root here" in warning and "tried twice" in warning


def test_without_sendmail_a_mail_goes_to_the_smtp_port_of_the_host(host, start_part, tmp_path, authority, monkeypatch):
    server = start_part(smtp_server(tmp_path / "mta", tls="none", login=False, authority=authority))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mail_receiver, "SENDMAIL_FOLDERS", ())
    # Port 25 of this machine may be in use or forbidden.
    monkeypatch.setitem(mail_receiver.PORTS, "none", server.port)
    assert run(host, {"type": "mail", "when": ["change"], "to": ["root", "ops@example.com"]}) == []
    assert server.mails[0].recipients == ["root", "ops@example.com"]
    assert server.mails[0].sender == "log-archive@" + socket.gethostname()


def test_only_the_end_of_a_long_log_is_attached(host, smtp):
    lines = [json.dumps({"event": "old", "number": number, "noise": os.urandom(20).hex()}) for number in range(20_000)]
    host.events.write_text("\n".join(lines) + "\n")
    assert run(host, mail(smtp, attach_log=True, attach_limit="50K")) == []
    (attached,) = smtp.mails[0].message.iter_attachments()
    data = attached.get_content()
    assert 20_000 < len(data) <= 50 * 1024
    events = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    assert events[-1]["event"] == "run_ended"
    numbers = [event["number"] for event in events if event["event"] == "old"]
    assert numbers == list(range(numbers[0], 20_000)) and numbers[0] > 0


@pytest.mark.parametrize(
    ("changes", "reason", "logins"),
    [
        # smtplib tries each login method of the server, on the same connection.
        ({"password": "marker-of-a-wrong-password"}, "the server refuses the login (535)", 2),
        ({"ca_bundle": None}, "its TLS certificate is not accepted (unable to get local issuer certificate)", 0),
        ({"tls": "tls"}, "TLS failed (", 0),
        (
            {"ca_bundle": "/nonexistent/ca.pem"},
            "/nonexistent/ca.pem: cannot read the CA certificates: No such file or directory",
            0,
        ),
        ({"server": "no-such-host.invalid"}, "its name cannot be resolved", 0),
        ({"user": None, "password": None}, "the server refuses the mail (530", 0),
    ],
)
def test_the_warning_has_the_reason_why_a_mail_was_not_sent(host, smtp, changes, reason, logins):
    (warning,) = run(host, mail(smtp, **changes))
    assert warning.startswith("notify[0] (mail): ") and reason in warning
    assert smtp.mails == [] and smtp.logins == logins
    assert "marker" not in warning


def test_a_server_name_that_is_not_in_the_certificate(host, smtp):
    assert run(host, mail(smtp, server="127.1")) == [
        "notify[0] (mail): its TLS certificate is not accepted (Hostname mismatch, certificate is not valid for '127.1'.)"
    ]
    assert smtp.mails == []


def test_a_server_without_starttls_gets_no_password(host, start_part, tmp_path, authority):
    server = start_part(smtp_server(tmp_path / "old", tls="none", authority=authority))
    assert run(host, mail(server)) == ["notify[0] (mail): the server does not support STARTTLS"]
    assert server.logins == 0


def test_only_refused_recipients_are_tried_again(host, smtp):
    smtp.refused["root@example.com"] = "450 come back later"
    (warning,) = run(host, mail(smtp))
    assert warning == "notify[0] (mail): the server refuses root@example.com (450 come back later) (tried twice)"
    assert [got.recipients for got in smtp.mails] == [["ops@example.com"]]
    smtp.refused["root@example.com"] = "550 no such user"
    assert run(host, mail(smtp)) == ["notify[0] (mail): the server refuses root@example.com (550 no such user)"]


def test_a_second_attempt_after_a_temporary_refusal(host, smtp):
    smtp.answers = ["451 busy"]
    assert run(host, mail(smtp)) == []
    assert len(smtp.mails) == 1
    smtp.answers = ["451 busy", "451 busy"]
    assert run(host, mail(smtp)) == ["notify[0] (mail): the server refuses the mail (451 busy) (tried twice)"]


# -- chat -------------------------------------------------------------------------------------------------------------


def test_a_post_to_mattermost(host, receiver):
    assert run(host, chat(receiver), archive={"group": "file"}) == []
    (post,) = receiver.taken()
    assert (post.method, post.path, json.loads(post.body).keys()) == ("POST", "/hooks/" + TOKEN, {"text", "username"})
    lines = post.text.splitlines()
    assert lines[0] == "#### :white_check_mark: `web1 syslog: done`"
    assert "| :white_check_mark: | `store file` | `2 verified by read_back` |" in lines
    assert any("`syslog.20240112.13.tgz.fernet`" in line and "`file: read_back`" in line for line in lines)


def test_file_names_are_not_markup(host, receiver):
    for name in ("@channel", "a|b", "`code`", ":tada:", "[link](https://example.com)", "line\nfeed", "\x1b[31mred", "**bold**"):
        (host.logs / name.replace("/", "_")).write_bytes(b"x")
    (host.logs / "link").symlink_to("x")
    recap = host.run(notify=[chat(receiver)], select=EMPTY)
    assert recap["warnings"] == [] and recap["exit_code"] == 0
    (post,) = receiver.taken()
    rows = [line for line in post.text.splitlines() if line.startswith("|") and "tgz.fernet" in line]
    assert len(rows) == 10
    for row in rows:
        assert row.count("|") == 6
        outside = "".join(row.split("`")[::2])
        assert outside == "| :white_check_mark: |  |  |  |  |"


def test_a_long_message_is_cut_to_the_limit_of_the_server(host, receiver):
    for number in range(120):
        (host.logs / ("a-rather-long-name-of-a-log-%03d-ünïcödé-%s" % (number, "x" * 80))).write_bytes(b"x")
    # The message lists some of the archives only: what makes it long are the copies of each.
    names = ["store-%d-%s" % (number, "x" * 40) for number in range(5)]
    host.stores = [{"type": "file", "name": name, "path": str(host.folder / name)} for name in names]
    recap = host.run(notify=[chat(receiver)], select=EMPTY)
    assert recap["warnings"] == [] and len(recap["archives"]) == 122
    (post,) = receiver.taken()
    assert 16_000 < len(post.text) <= 16_383
    lines = post.text.splitlines()
    assert lines[-1] == "(cut)" and lines[-2].endswith("|")


def test_another_service_that_apprise_supports(host, receiver):
    url = receiver.url("/any/marker-of-a-path").replace("https://", "jsons://")
    assert run(host, chat(receiver, url=url)) == []
    (post,) = receiver.taken()
    payload = json.loads(post.body)
    assert payload["title"] == "\u2705 [log-archive] web1 syslog: done"
    assert "syslog.20240112.13.tgz.fernet" in payload["message"]


def slack_and_teams(receiver):
    """URLs of Apprise for both."""
    return {
        "slack": "slack://TJJ6VT3RS/BJJ6VT3RS/8YJ6VT3RSTTTTTTTTTTTTTTT",
        "teams": "workflow://%s/WFID/SIGNATURE" % receiver.url("").replace("https://", "").rstrip("/"),
    }


@pytest.mark.parametrize("service", ["slack", "teams"])
def test_a_failed_run_is_red_and_no_table_where_none_is_shown(host, receiver, monkeypatch, service):
    import apprise.plugins.slack

    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", receiver.url("/services"))
    down = {"type": "file", "path": str(host.logs / "syslog.20240112.13" / "store"), "name": "down", "attempts": 1}
    record = host.run(
        notify=[chat(receiver, url=slack_and_teams(receiver)[service])], stores=[*host.stores, down], archive={"group": "file"}
    )
    assert record["warnings"] == [] and len(record["archives"]) == 2
    (post,) = receiver.taken()
    text = json.dumps(json.loads(post.body), ensure_ascii=False)
    assert "\u274c [log-archive] web1 syslog: failed (partly done)" in text
    if service == "slack":
        assert json.loads(post.body)["attachments"][0]["color"] == "#A32037"
    assert "STATE" not in text and "store down: 2 waiting, 1 error" in text
    assert text.count("error: store down: ") == 1 and text.count("down: pending") == 2


@pytest.mark.parametrize(
    ("changes", "statuses", "reason"),
    [
        ({}, [500, 500], "it answered with status 500 (tried twice)"),
        ({}, [403], "it answered with status 403"),
        ({"ca_bundle": None}, [], "its TLS certificate is not accepted (unable to get local issuer certificate)"),
        ({"url": "https://no-such-host.invalid/hooks/marker-of-a-token"}, [], "its name cannot be resolved"),
        ({"url": "nothing://marker-of-a-token/x"}, [], "Apprise supports no service with this URL"),
        ({"url": "slack://marker-of-a-token/x"}, [], "Apprise supports no service with this URL"),
    ],
)
def test_the_warning_has_the_reason_why_a_message_was_not_sent(host, receiver, caplog, changes, statuses, reason):
    receiver.statuses = list(statuses)
    (warning,) = run(host, chat(receiver, **changes))
    assert warning.startswith("notify[0] (chat): ") and reason in warning
    assert len(receiver.posts) == len(statuses)
    for shown in (warning, caplog.text):
        assert "marker" not in shown and TOKEN not in shown


def test_a_second_attempt_after_a_server_error(host, receiver):
    receiver.statuses = [503]
    assert run(host, chat(receiver)) == []
    assert [post.status for post in receiver.posts] == [503, 200]


# -- pings ------------------------------------------------------------------------------------------------------------


def test_a_ping_at_the_start_and_at_the_end_of_a_run(host, receiver):
    assert run(host, ping(receiver)) == []
    assert [post.path for post in receiver.posts] == ["/ping/a-uuid/start?rid=7", "/ping/a-uuid?rid=7"]
    assert b"syslog.20240112.13" in receiver.posts[1].body
    host.write_logs(12)
    host.run(notify=[ping(receiver)], stores=[{"type": "file", "path": str(host.logs / "syslog.20240112.13" / "store"), "attempts": 1}])
    assert [post.path for post in receiver.posts[2:]] == ["/ping/a-uuid/start?rid=7", "/ping/a-uuid/fail?rid=7"]


def test_a_dry_run_sends_no_notification(host, smtp, receiver, tmp_path):
    targets = [mail(smtp), chat(receiver), ping(receiver), {"type": "log", "path": str(tmp_path / "recaps.log")}]
    recap = host.run(check=True, notify=targets)
    assert recap["warnings"] == [] and recap["outcome"] == "done"
    assert (smtp.mails, receiver.posts, (tmp_path / "recaps.log").exists()) == ([], [], False)


# -- receivers that are down or slow ----------------------------------------------------------------------------------


def test_receivers_that_are_down(host, authority, tmp_path):
    port = lab.free_port()

    class Down:
        host = "localhost"

        def url(self, path="/hooks/" + TOKEN):
            return "https://localhost:%d%s" % (self.port, path)

    down = Down()
    down.port, down.authority = port, authority
    targets = [mail(down), chat(down), ping(down), {"type": "log", "path": str(tmp_path / "missing" / "log")}]
    assert run(host, *targets, {"type": "textfile", "path": str(tmp_path / "missing")}) == [
        "notify[2] (ping): cannot report the start of the run: connection refused",
        "notify[0] (mail): connection refused (tried twice)",
        "notify[1] (chat): connection refused (tried twice)",
        "notify[2] (ping): connection refused (tried twice)",
        "notify[3] (log): cannot write %s: No such file or directory (tried twice)" % (tmp_path / "missing" / "log"),
        "notify[4] (textfile): cannot write %s: No such file or directory (tried twice)"
        % (tmp_path / "missing" / "log_archive_syslog.prom"),
    ]


def test_receivers_that_never_answer(host, authority):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        class Mute:
            host, port = "localhost", listener.getsockname()[1]

            def url(self, path="/hooks/" + TOKEN):
                return "https://localhost:%d%s" % (self.port, path)

        mute = Mute()
        mute.authority = authority
        warnings = run(host, mail(mute, timeout="0.3"), chat(mute, timeout="0.3"), ping(mute, timeout="0.3"))
    assert len(warnings) == 4
    assert all("it did not answer in time" in warning or "it took longer than 0." in warning for warning in warnings)


def test_a_very_slow_answer_is_abandoned(host, receiver):
    # Each byte comes long before the timeout of a socket.
    receiver.drip = 0.05
    began = time.monotonic()
    warnings = run(host, chat(receiver, timeout="1.2"), ping(receiver, timeout="1.2"))
    assert [warning.partition(": ")[2] for warning in warnings] == [
        "cannot report the start of the run: it took longer than 0.6 s",
        "it took longer than 1.2 s",
        "it took longer than 0.6 s",
    ]
    # The answers would never end; the limit does not measure speed.
    assert time.monotonic() - began < lab.patience(60)


# -- when -------------------------------------------------------------------------------------------------------------


def test_failure_and_recovery(host, receiver):
    target = {name: value for name, value in chat(receiver).items() if name != "when"}
    broken = [{"type": "file", "path": str(host.logs / "syslog.20240112.13" / "store"), "attempts": 1}]
    assert host.run(notify=[target])["exit_code"] == 0
    assert receiver.posts == []
    host.write_logs(12)
    assert host.run(notify=[target], stores=broken)["exit_code"] == 3
    assert ":x: `web1 syslog: failed (partly done)`" in receiver.posts[-1].text
    assert host.run(notify=[target])["exit_code"] == 0
    assert ":white_check_mark: `web1 syslog: done, recovered`" in receiver.posts[-1].text
    assert host.run(notify=[target])["exit_code"] == 0
    assert len(receiver.posts) == 2


# -- records and secrets ----------------------------------------------------------------------------------------------


def test_no_secret_of_a_notification_appears_anywhere(host, smtp, receiver, tmp_path):
    """Not in output, recap, catalog, event log or process list, with receivers that refuse and receivers that are down."""
    secrets = [PASSWORD, "marker-of-a-password", TOKEN, "marker-of-a-path", "a-uuid"]
    receiver.statuses = [500] * 2 + [404] * 4
    receiver.stall = 0.3
    down = "https://localhost:%d" % lab.free_port()
    host.write_document(
        select=EMPTY,
        notify=[
            chat(receiver),
            ping(receiver),
            mail(smtp, password="marker-of-a-password"),
            mail(smtp, to=["nobody@example.com"]),
            chat(receiver, url=down + "/hooks/marker-of-a-path"),
            ping(receiver, url=down + "/marker-of-a-path"),
            {"type": "log", "path": str(tmp_path / "recaps.log")},
            {"type": "log", "path": str(tmp_path / "recaps.txt"), "format": "plain"},
        ],
    )
    smtp.refused["nobody@example.com"] = "550 nobody"
    seen = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    ended = [host.command("run", "--all"), host.command("run", "--all", "--json"), host.command("status")]
    done.set()
    watcher.join()
    assert [each.returncode for each in ended] == [0, 0, 0], ended[0].stderr
    assert ended[0].stdout.count("notify[") == 8
    seen_bytes = [(each.stdout + each.stderr).encode() for each in ended] + seen
    # They are in the job document and nowhere else.
    seen_bytes += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "jobs"]
    for secret in secrets:
        assert not [data for data in seen_bytes if secret.encode() in data], secret


def test_a_run_that_is_killed_while_it_notifies_is_already_recorded(host, receiver):
    receiver.stall = 60
    host.write_document(select=EMPTY, notify=[chat(receiver)])
    with subprocess.Popen([*COMMAND, "run", "--all"], env=host.environment()) as process:
        while not receiver.posts:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    catalog = Catalog(str(host.state))
    last = catalog.runs.last(JOB)
    catalog.close()
    assert (last.exit_code, len(last.record["archives"])) == (0, 2) and last.ended is not None
    assert host.run(select=EMPTY)["outcome"] == "nothing to do"


def test_a_log_that_another_process_locks_is_abandoned(host, tmp_path, monkeypatch):
    monkeypatch.setattr(notifying, "LONGEST_LOCAL", 0.2)
    path = tmp_path / "recaps.log"
    with open(path, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run(host, {"type": "log", "path": str(path)}) == ["notify[0] (log): it took longer than 0.2 s"]


def test_a_failed_notification_is_in_the_catalog_and_the_event_log(host, receiver):
    receiver.statuses = [403]
    (warning,) = run(host, chat(receiver))
    catalog = Catalog(str(host.state))
    last = catalog.runs.last(JOB)
    catalog.close()
    assert last.exit_code == 0 and last.record["warnings"] == [warning]
    assert last.record["steps"]["notify"] == {"state": "warning", "errors": 0, "warnings": 1}
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["text"] for event in events if event["event"] == "warning"] == [warning]


def test_the_log_includes_the_failed_notification(host, receiver, tmp_path):
    receiver.statuses = [403]
    path = tmp_path / "recaps.log"
    (warning,) = run(host, {"type": "log", "path": str(path)}, chat(receiver))
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["warnings"] == [warning]
