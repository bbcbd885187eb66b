# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page and the text of statistics: valid, without requests, and safe with hostile names."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.compute import nothing
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import statistics_page, statistics_text

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\udc80"
COUNTS = dict(nothing(), transfers=3, uploads=2, downloads=1, bytes=3000, bytes_uploaded=2000, bytes_downloaded=1000, failed=1)
TOTALS = dict(COUNTS, users=1, logins=4, failed_logins=5, commands=6)


@pytest.fixture
def statistics():
    return {
        "stream": "sftpgo",
        "sink": "sqlite",
        "hosts": ["web1", HOSTILE],
        "created": "2026-01-06T00:00:00Z",
        "since": "2026-01-05T00:00:00Z",
        "until": "2026-01-05T02:00:00Z",
        "by": "hour",
        "totals": TOTALS,
        "before": {"since": "2026-01-04T22:00:00Z", "until": "2026-01-05T00:00:00Z", "totals": dict(TOTALS, transfers=2, bytes=0)},
        "trend": [dict(COUNTS, start="2026-01-05T00:00:00Z"), dict(nothing(), start="2026-01-05T01:00:00Z")],
        "hours": [{"hour": hour, "transfers": 3 * (hour == 0), "bytes": 3000 * (hour == 0)} for hour in range(24)],
        "users": [dict(COUNTS, username=HOSTILE, logins=4, commands=6, last_seen="2026-01-05T00:30:00Z")],
        "files": [{"path": HOSTILE, "username": None, "transfers": 3, "bytes": 3000}],
        "protocols": [{"protocol": "SFTP", "transfers": 3, "bytes": 3000}],
        "addresses": [{"address": "", "users": 1, "transfers": 3, "bytes": 3000, "failed_logins": 5}],
    }


class Balanced(HTMLParser):
    """Fails for a tag that is not closed in order, and collects attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_is_whole_and_requests_nothing(statistics):
    page = statistics_page.render(statistics)
    parser = parsed(page)
    assert not {"script", "link", "img", "iframe"} & set(parser.seen)
    assert not re.search(r"url\(|https?:|@import", page)
    assert {name: value for name, value in parser.attributes if name in ("src", "href")} == {}
    assert 'data-name="bytes" data-value="3000">2.9 KiB' in page
    assert "+50 %" in page, "transfers, compared with the span before"
    assert "refresh" not in page
    assert '<meta http-equiv="refresh" content="60">' in statistics_page.render(statistics, 60)


def test_hostile_names_are_shown_as_text(statistics):
    page = statistics_page.render(statistics)
    assert "<script>" not in page
    assert "\x1b" not in page + statistics_text.render(statistics)
    page.encode("utf-8")
    statistics_text.render(statistics).encode("utf-8")


def test_empty_statistics_are_a_page_too(statistics):
    for name in ("trend", "users", "files", "protocols", "addresses"):
        statistics[name] = []
    statistics.update(since=None, until=None, before=None, totals=dict.fromkeys(TOTALS, 0))
    parsed(statistics_page.render(statistics))
    assert statistics_text.render(statistics) == "sftpgo: no transfers"


def test_logins_without_transfers_are_shown(statistics):
    for name in ("trend", "users", "files", "protocols"):
        statistics[name] = []
    statistics.update(since=None, until=None, before=None, totals={**dict.fromkeys(TOTALS, 0), "failed_logins": 5})
    text = statistics_text.render(statistics)
    assert text.startswith("sftpgo  no transfers\n")
    assert "5 failed logins" in text
    assert "FAILED LOGINS" in text


def test_a_very_long_name_does_not_widen_the_table(statistics):
    statistics["users"] = [dict(statistics["users"][0], username=name) for name in ("x" * 255, "bob")]
    text = statistics_text.render(statistics)
    assert max(map(len, text.splitlines())) < 180
    assert "x" * 57 + "... " in text
    assert "x" * 255 in statistics_page.render(statistics)


def test_the_key_of_a_chart_is_readable_text_on_both_backgrounds(statistics):
    """The colours of bars may be close to the background; only the squares before the words have them."""
    assert re.findall(r"\.key\.\w+[^{]*\{", statistics_page.render(statistics)) == [".key.up::before {", ".key.down::before {"]


@pytest.mark.parametrize(
    ("most", "counts", "sizes"),
    [
        (0, ["0", "1"], ["0 B", "1 B"]),
        (1, ["0", "1"], ["0 B", "1 B"]),
        (3, ["0", "1", "2", "3"], ["0 B", "1 B", "2 B", "3 B"]),
        (5, ["0", "2", "4", "6"], ["0 B", "2 B", "4 B", "6 B"]),
        (639, ["0", "200", "400", "600", "800"], ["0 B", "200 B", "400 B", "600 B", "800 B"]),
        (40_000, ["0", "10,000", "20,000", "30,000", "40,000"], ["0 B", "10.0 KiB", "20.0 KiB", "30.0 KiB", "40.0 KiB"]),
        (3 << 50, None, ["0 B", "1.0 PiB", "2.0 PiB", "3.0 PiB"]),
    ],
)
def test_the_lines_of_a_chart_are_at_round_values(statistics, most, counts, sizes):
    statistics["trend"] = [dict(nothing(), start="2026-01-05T00:00:00Z", uploads=most, bytes_uploaded=most)]
    transfers, size = re.findall("<svg.*?</svg>", statistics_page.render(statistics))[:2]
    for chart, wanted in ((transfers, counts), (size, sizes)):
        assert wanted in (None, re.findall(r'text-anchor="end">([^<]*)', chart))
        assert all(float(y) >= 10 for y in re.findall(r'<rect [^>]*y="([^"]*)"', chart)), "within the chart"


def test_users_beyond_the_most_are_counted_together(statistics):
    statistics["users"] = [dict(statistics["users"][0], username="u%03d" % number) for number in range(statistics_page.MOST_USERS + 5)]
    assert "<td>5 others</td><td>10</td><td>5</td>" in statistics_page.render(statistics)
    assert "and 185 more" in statistics_text.render(statistics)


def test_the_text_shows_totals_and_busiest_hours(statistics):
    text = statistics_text.render(statistics)
    assert "1 user, 3 transfers (2 uploads, 1 download), 2.9 KiB, 1 failed; 4 logins, 5 failed logins, 6 commands" in text
    assert "busiest hours of the day: 00:00 (3 transfers)\n" in text
