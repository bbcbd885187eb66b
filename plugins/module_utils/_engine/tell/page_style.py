# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame that pages share, and its style: colours for light, dark and paper, figures in boxes, tables."""

from __future__ import annotations

import typing as t
from html import escape

from ..base.texts import printable

STYLE = """\
:root { color-scheme: light dark; --text: #1f2328; --dim: #59636e; --page: #fff; --box: #f6f8fa; --line: #d1d9e0; --up: #0969da;
  --down: #54aeff; --failed: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --dim: #9198a1; --page: #0d1117; --box: #151b23; --line: #3d444d;
  --up: #4493f8; --down: #1f6feb80; --failed: #f85149; } }
@media print { :root { --text: #000; --dim: #333; --page: #fff; --box: #fff; --line: #999; --up: #0550ae; --down: #9cc7f5;
  --failed: #a40e26; } body { max-width: none !important; } }
* { print-color-adjust: exact; }
body { margin: 0 auto; padding: 1.5rem; max-width: 64rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; } p { margin: .2rem 0; color: var(--dim); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1.2rem 0; }
.figures div { padding: .6rem .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--box); }
.figures b { display: block; font-size: 1.35rem; } .figures span, .figures small { color: var(--dim); }
.table { overflow-x: auto; } table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left;
  min-width: 8rem; white-space: normal; overflow-wrap: anywhere; } th { color: var(--dim); }
td .name { white-space: normal; overflow-wrap: anywhere; }
tfoot td { font-weight: 600; } svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 11px; }
@media print { .table { overflow: visible; } table { font-size: 10px; } th, td { padding: .2rem .3rem; white-space: normal; }
  section { break-inside: auto; } h2 { break-after: avoid; } tr, svg { break-inside: avoid; } }
"""

REPORT_STYLE = """\
.failed { color: var(--failed); font-weight: 600; } tr { break-inside: avoid; }
th, td { text-align: left; vertical-align: top; white-space: normal; overflow-wrap: anywhere; }
"""
"""For reports, which have tables of texts."""


def page(title: str, parts: t.Iterable[str], style: str = "", head: str = "") -> str:
    """A whole page. title: as text. parts, head: HTML already; "" is left out. style: CSS beside the shared one."""
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        head,
        "<title>%s</title>" % escape(printable(title)),
        "<style>\n%s%s</style>" % (STYLE, style),
        "</head>",
        "<body>",
        *parts,
        "</body>",
        "</html>",
    ]
    return "\n".join(filter(None, lines)) + "\n"
