# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a job: every series from the beginning, its values, and that docs/metrics.md lists them."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job as jobs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import catalog as catalogs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.status import blank
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import metrics
from rigs.host import JOB, NAME, NOW, Host

DOCS = pathlib.Path(__file__).resolve().parents[6] / "docs"
parser = pytest.importorskip("prometheus_client.parser")
pytest.importorskip("cryptography")


@pytest.fixture
def target(host):
    """The options of a metrics file below the folder of the host."""
    (host.folder / "metrics").mkdir()
    return {"type": "textfile", "path": str(host.folder / "metrics")}


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def samples(host):
    """{(name without prefix, further labels...): value} of the file."""
    found = {}
    for family in parser.text_string_to_metric_families((host.folder / "metrics" / ("log_archive_%s.prom" % JOB)).read_text()):
        assert family.documentation and family.type in ("gauge", "counter")
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("archive_job"), labels.pop("host")) == (JOB, NAME)
            assert "job" not in labels, "Prometheus has this label itself"
            assert found.setdefault((sample.name[len("log_archive_") :], *labels.values()), sample.value) == sample.value
    return found


def names(found):
    return {key[0] for key in found}


def test_every_series_exists_from_the_set_up_on(host, target):
    host.stores.append({"type": "file", "name": "extra", "path": str(host.folder / "no" / "extra"), "required": False, "attempts": 1})
    host.write_document(notify=[target])
    done = host.command("metrics", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["files"] == [str(host.folder / "metrics" / ("log_archive_%s.prom" % JOB))]
    new = samples(host)
    assert names(new) == {name for name, _kind, _about in metrics.METRICS}
    positive = {"known_since_timestamp_seconds", "spool_filesystem_free_bytes", "spool_filesystem_size_bytes"}
    assert {key[0] for key, value in new.items() if value} == positive
    assert {key for key in new if key[0] == "runs_total"} == {("runs_total", str(code)) for code in range(5)}
    host.write_logs(14)
    host.run(notify=[target])
    later = samples(host)
    assert set(later) == set(new)
    assert later["known_since_timestamp_seconds",] == NOW.timestamp(), "the earlier of set-up and first run"
    assert host.command("metrics").returncode == 0
    assert samples(host).keys() == new.keys() and samples(host)["last_run_exit_code",] == 3


def test_the_values(host, target):
    extra = host.folder / "not-mounted" / "extra"
    host.stores.append({"type": "file", "name": "extra", "path": str(extra), "required": False, "attempts": 1})
    host.write_logs(13, 14)
    record = host.run(notify=[target])
    found = samples(host)
    created = parse_utc(next(iter(_held(host).values()))["created"]).timestamp()
    expected = {
        ("run_started_timestamp_seconds",): NOW.timestamp(),
        ("last_run_timestamp_seconds",): NOW.timestamp(),
        ("last_success_timestamp_seconds",): 0,
        ("last_run_exit_code",): 3,
        ("last_run_errors",): len(record["errors"]),
        ("last_run_archives",): 2,
        ("last_run_source_bytes",): 6000,
        ("runs_total", "3"): 1,
        ("runs_total", "0"): 0,
        ("archives",): 2,
        ("spool_archives",): 2,
        ("backlog_archives", "file"): 0,
        ("backlog_archives", "extra"): 2,
        ("verified_level", "file"): 4,
        ("verified_level", "extra"): 0,
        ("oldest_unshipped_timestamp_seconds", "file"): 0,
        ("oldest_unshipped_timestamp_seconds", "extra"): created,
        ("last_verify_timestamp_seconds", "file"): 0,
        ("prune_refused", "file"): 0,
    }
    assert {key: found[key] for key in expected} == expected
    extra.parent.mkdir()
    host.run(notify=[target])
    found = samples(host)
    assert found["last_success_timestamp_seconds",] == NOW.timestamp() and found["runs_total", "0"] == 1
    assert found["oldest_unshipped_timestamp_seconds", "extra"] == 0
    host.write_logs(*range(9, 13))
    host.run(notify=[target])
    host.run(notify=[target], retention={"keep_last": 1, "max_delete_share": 0.01})
    assert (samples(host)["prune_refused", "file"], samples(host)["prune_refused_runs", "file"]) == (1, 1)


def test_a_run_that_is_active_shows(host, target, monkeypatch):
    host.run(notify=[target])
    seen = []
    monkeypatch.setattr(jobs, "recover", lambda _run: seen.append(samples(host)))
    host.run(notify=[target], now=NOW.replace(hour=16))
    assert seen[0]["run_started_timestamp_seconds",] == NOW.timestamp() + 3600
    assert seen[0]["last_run_timestamp_seconds",] == NOW.timestamp()


def test_the_documentation_lists_every_metric():
    text = (DOCS / "metrics.md").read_text().partition("## Streams")[0]
    listed = re.findall(r"^\| `log_archive_(\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE)
    labels = dict.fromkeys((name for name, _kind, _about in metrics.METRICS), "")
    labels.update(dict.fromkeys(metrics._of_stores(metrics.JobFacts("j", "h", None, blank("j"))), "`store`"), runs_total="`exit_code`")
    assert [(name, kind, about) for name, kind, _labels, about in listed] == list(metrics.METRICS)
    assert {name: shown.strip() for name, _kind, shown, _about in listed} == labels


def _held(host):
    catalog = catalogs.Catalog(str(host.state))
    try:
        return catalog.held(JOB, "file")
    finally:
        catalog.close()
