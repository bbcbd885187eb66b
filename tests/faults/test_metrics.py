# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics as a real node exporter and a real Prometheus take them, and the alerts by promtool."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import lab
import pytest
from lab.processes import free_port
from rigs.host import JOB, NAME, Host

ALERTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "alerts.yml"
GRAFANA = ALERTS.parent / "grafana"
TEST = """
rule_files: [%s]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'log_archive_known_since_timestamp_seconds{archive_job="syslog",host="web1"}', values: '0x3000'}
      - {series: 'log_archive_last_success_timestamp_seconds{archive_job="syslog",host="web1"}', values: '%s'}
      - {series: 'log_archive_oldest_unshipped_timestamp_seconds{archive_job="syslog",host="web1",store="s3"}', values: '%s'}
      - {series: 'log_archive_lacking_archives{archive_job="syslog",host="web1",store="s3"}', values: '%s'}
      - {series: 'log_archive_verify_failures{archive_job="syslog",host="web1",store="s3"}', values: '%s'}
      - {series: 'log_archive_prune_refused{archive_job="syslog",host="web1",store="s3"}', values: '%s'}
      - {series: 'log_archive_spool_filesystem_free_bytes{archive_job="syslog",host="web1"}', values: '%s'}
      - {series: 'log_archive_spool_filesystem_size_bytes{archive_job="syslog",host="web1"}', values: '1000x3000'}
      - {series: 'log_archive_orphans{host="web1"}', values: '%s'}
      - {series: 'log_archive_stream_updated_timestamp_seconds{stream="sftpgo",host="web1"}', values: '%s'}
      - {series: 'log_archive_stream_sink_up{stream="sftpgo",host="web1",sink="db"}', values: '%s'}
      - {series: 'log_archive_stream_lag_seconds{stream="sftpgo",host="web1",sink="db"}', values: '%s'}
      - {series: 'log_archive_stream_rotations_left{stream="sftpgo",host="web1",sink="db"}', values: '%s'}
      - {series: 'log_archive_stream_gaps_total{stream="sftpgo",host="web1",sink="db"}', values: '%s'}
      - {series: 'log_archive_stream_rejected_lines{stream="sftpgo",host="web1",sink="db"}', values: '%s'}
    promql_expr_test:
      - expr: count(ALERTS{alertstate="firing"}) by (alertname)
        eval_time: 30h
        exp_samples: %s
"""
FINE = {"success": "108000x3000", "oldest": "0x3000", "lacking": "0x3000", "failures": "0x3000", "refused": "0x3000", "free": "500x3000"}
FINE.update(orphans="0x3000")
# A stream that writes its metrics every minute, and lost lines long ago.
FINE.update(updated="0+60x3000", up="1x3000", lag="2x3000", left="5x3000", gaps="3x3000", rejected="0x3000")
NAMES = ["LogArchiveNoSuccess", "LogArchiveUnshipped", "LogArchiveStoreLacks", "LogArchiveVerificationFailed", "LogArchivePruneRefused"]
NAMES += ["LogArchiveSpoolDisk", "LogArchiveOrphans"]
NAMES += ["LogArchiveStream" + name for name in ("Silent", "SinkDown", "Lag", "Gap", "Rejected")]


def program(name):
    """The path of a program of tests/lab/install.sh."""
    return shutil.which(name) or pytest.skip("%s is missing" % name)


@pytest.mark.parametrize(
    ("changes", "firing"),
    [
        ({}, []),
        ({"success": "0x3000"}, ["LogArchiveNoSuccess"]),
        ({"success": "3600x3000"}, ["LogArchiveNoSuccess"]),
        ({"oldest": "60x3000"}, ["LogArchiveUnshipped"]),
        ({"oldest": "90000x3000"}, []),
        ({"lacking": "3x3000"}, ["LogArchiveStoreLacks"]),
        ({"failures": "1x3000"}, ["LogArchiveVerificationFailed"]),
        ({"refused": "1x3000"}, ["LogArchivePruneRefused"]),
        ({"free": "99x3000"}, ["LogArchiveSpoolDisk"]),
        ({"orphans": "2x3000"}, ["LogArchiveOrphans"]),
        ({"updated": "0+60x1780 106800x3000"}, ["LogArchiveStreamSilent"]),
        ({"up": "0x3000"}, ["LogArchiveStreamSinkDown"]),
        ({"lag": "901x3000"}, ["LogArchiveStreamLag"]),
        ({"left": "0x3000"}, ["LogArchiveStreamLag"]),
        ({"gaps": "3x1700 4x3000", "rejected": "1x3000"}, ["LogArchiveStreamGap", "LogArchiveStreamRejected"]),
    ],
)
def test_the_alerts(tmp_path, changes, firing):
    series = {**FINE, **changes}
    samples = [{"labels": '{alertname="%s"}' % name, "value": 1} for name in firing]
    path = tmp_path / "test.yml"
    path.write_text(TEST % (ALERTS, *(series[name] for name in FINE), json.dumps(samples)))
    done = subprocess.run([program("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_are_twelve_valid_rules():
    done = subprocess.run([program("promtool"), "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "12 rules found" in done.stdout, done.stdout + done.stderr
    assert [name for name in NAMES if "alert: %s\n" % name in ALERTS.read_text()] == NAMES


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """The port of a Prometheus that scrapes a node exporter with the metrics of a job and of a stream."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("metrics")
    host = Host(folder / "host")
    host.write_logs(14)
    textfiles = folder / "textfiles"
    textfiles.mkdir()
    notify = [{"type": "textfile", "path": str(textfiles)}]
    host.run(notify=notify)
    done = host.command("verify", str(host.write_document(notify=notify)))
    assert done.returncode == 0, done.stdout + done.stderr
    done = host.command("metrics", "--config", str(host.folder / "jobs"))
    assert done.returncode == 0, done.stdout + done.stderr
    _ingest(host, notify)
    exporter, port = free_port(), free_port()
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "rule_files": [str(ALERTS)],
                "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": ["127.0.0.1:%d" % exporter]}]}],
            }
        )
    )
    with contextlib.ExitStack() as stack:
        for command in (
            [program("prometheus-node-exporter"), "--web.listen-address=127.0.0.1:%d" % exporter, "--collector.disable-defaults"]
            + ["--collector.textfile", "--collector.textfile.directory=%s" % textfiles],
            [program("prometheus"), "--config.file=%s" % (folder / "prometheus.yml"), "--storage.tsdb.path=%s" % (folder / "data")]
            + ["--web.listen-address=127.0.0.1:%d" % port],
        ):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield port


def _ingest(host, notify):
    """Store a line of a stream, which writes its metrics."""
    folder = host.folder / "sftpgo"
    folder.mkdir()
    (folder / "sftpgo.log").write_text('{"level":"info","time":"2026-01-05T00:00:00.000","sender":"httpd","message":"started"}\n')
    document = {
        "name": "sftpgo",
        "host": NAME,
        "follow": {"paths": [str(folder)], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"], "backups": 5},
        "parse": {"profile": "sftpgo", "timezone": "UTC"},
        "sinks": [{"type": "sqlite", "path": str(host.folder / "sftpgo.sqlite")}],
        "state": str(host.folder / "streams"),
        "notify": notify,
    }
    path = host.folder / "sftpgo.json"
    path.touch(0o600)
    path.write_text(json.dumps(document))
    done = host.command("ingest", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.xdist_group("prometheus")
def test_a_scrape_keeps_every_label(prometheus):
    """Prometheus gives its own label ``job`` to what it scrapes; a series of ours with that label would be renamed."""
    found = _query(prometheus, 'log_archive_runs_total{exit_code="0"}')
    assert found == [{"archive_job": JOB, "host": NAME, "job": "node", "exit_code": "0"}]
    assert _query(prometheus, "node_textfile_scrape_error == 0")


@pytest.mark.xdist_group("prometheus")
@pytest.mark.parametrize("name", ["archives", "streams"])
def test_each_panel_of_a_dashboard_shows_something(prometheus, name):
    dashboard = json.loads((GRAFANA / ("%s-prometheus.json" % name)).read_text())
    variables = {one["name"]: one.get("definition", "") for one in dashboard["templating"]["list"]}
    variables.pop("datasource")
    for variable, definition in variables.items():
        metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", definition).groups()
        assert all(label in labels for labels in _query(prometheus, _expression(metric, variables))), variable
    expressions = [_expression(target["expr"], variables) for panel in dashboard["panels"] for target in panel["targets"]]
    for expression in expressions:
        assert _query(prometheus, expression), expression
    shown = set(re.findall(r"log_archive_\w+", " ".join(expressions)))
    of_streams = {metric for metric in _metrics() if metric.startswith("log_archive_stream_")}
    of_the_rest = {"log_archive_run_started_timestamp_seconds", "log_archive_last_run_timestamp_seconds"}
    of_the_rest |= {"log_archive_orphan_spool_archives", "log_archive_orphan_spool_bytes", "log_archive_orphan_store_archives"}
    of_the_rest |= {"log_archive_last_run_archives", "log_archive_last_run_bytes", "log_archive_last_run_source_bytes"}
    assert shown == (of_streams if name == "streams" else _metrics() - of_streams - of_the_rest - {"log_archive_spool_bytes"})


def _expression(text, variables):
    """A query of Grafana as Grafana sends it with all hosts, jobs and streams chosen."""
    for variable in variables:
        text = text.replace("$" + variable, ".+")
    return text.replace("$__rate_interval", "1m")


def _metrics():
    """The metrics that the documentation names."""
    return set(re.findall(r"^\| `(log_archive_\w+)`", (ALERTS.parent / "metrics.md").read_text(), re.MULTILINE))


def _query(port, query):
    """The labels of what Prometheus finds, once it finds something."""
    url = "http://127.0.0.1:%d/api/v1/query?%s" % (port, urllib.parse.urlencode({"query": query}))

    def asked():
        # Also if an answer takes longer than it waits for one.
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]["result"]
        return []

    results = lab.wait_until(asked, "Prometheus found nothing for %s" % query, 60, pause=0.2)
    return [{name: value for name, value in one["metric"].items() if name not in ("__name__", "instance")} for one in results]
