# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style of the page of a fleet, beside what all pages share. A day of the coverage is one letter on the colour of its state."""

from __future__ import annotations

STYLE = """\
:root { --v: #b9e6c4; --v-text: #0a3818; --p: #ffd48a; --p-text: #452700; --s: #abd5ff; --s-text: #05294f; --m: #b3121d; --m-text: #fff;
  --x: #e3daf6; --x-text: #3b2967; --d: #e9ecf0; --d-text: #3d444d; --n: #fff; --n-text: #59636e; --warning: #8a5a00; --fine: #1a6b33;
  --focus: #0969da; --up: #0550ae; --down: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --v: #12401f; --v-text: #aeeabf; --p: #5e3d00; --p-text: #ffe0a3; --s: #0b3c6b;
  --s-text: #c4e2ff; --m: #d1242f; --m-text: #fff; --x: #37294f; --x-text: #dccffa; --d: #2a313a; --d-text: #c9d0d8; --n: #0d1117;
  --n-text: #9198a1; --warning: #e0a83c; --fine: #5fd07f; --focus: #58a6ff; --up: #58a6ff; --down: #e0a83c; } }
body { max-width: 100rem; } #stores thead th { white-space: normal; vertical-align: bottom; }
.failed { color: var(--failed); font-weight: 600; } .warning { color: var(--warning); font-weight: 600; } .fine { color: var(--fine); }
th, td { text-align: left; vertical-align: top; } .number { text-align: right; } td.state { white-space: normal; min-width: 10rem;
  overflow-wrap: anywhere; }
td.text { white-space: normal; overflow-wrap: anywhere; } tbody th { color: var(--text); font-weight: 600; }
th:first-child, td:first-child { min-width: 0; white-space: nowrap; } .strips th span { color: var(--dim); font-weight: 400; }
  tbody th { max-width: 20rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap !important; }
.figures { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); } .figures small { overflow-wrap: anywhere; line-height: 1.3;
  display: block; }
.strips th:first-child { position: sticky; left: 0; z-index: 2; background: var(--page); }
.strips td, .strips th { padding: .15rem .5rem; border-bottom: 0; } .strips td.state { min-width: 14rem; }
.strips tbody tr:hover, .strips tbody tr:hover th { background: var(--box); }
.strip, .letters { font: 11px/17px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; letter-spacing: 2px; }
.strip { position: relative; display: inline-block; white-space: pre; cursor: pointer; }
.strip b { display: inline-block; font-weight: 400; background-image: repeating-linear-gradient(to right,
  transparent 0 calc(1ch + 1px), var(--page) calc(1ch + 1px) calc(1ch + 2px)); }
.scale { color: var(--dim); cursor: default; font-weight: 400; }
.v { background-color: var(--v); color: var(--v-text); } .p { background-color: var(--p); color: var(--p-text); }
.s { background-color: var(--s); color: var(--s-text); } .m { background-color: var(--m); color: var(--m-text); }
.x { background-color: var(--x); color: var(--x-text); } .d { background-color: var(--d); color: var(--d-text); }
.n { background-color: var(--n); color: var(--n-text); }
#cursor { position: absolute; top: -1px; bottom: -1px; border: 2px solid var(--focus); border-radius: 2px; pointer-events: none; }
#tip { position: fixed; z-index: 4; max-width: 24rem; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--box); color: var(--text); font-size: 13px; pointer-events: none; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .4rem 0; padding: 0; list-style: none; font-size: 13px; }
.legend b { padding: 0 .35rem; border: 1px solid var(--line); font: 13px/18px ui-monospace, monospace; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .6rem 0; }
.controls label { display: grid; font-size: 13px; color: var(--dim); }
input, select, button { padding: .3rem .5rem; border: 1px solid var(--line); border-radius: 6px; background: var(--box); color: var(--text);
  font: inherit; }
th button { padding: 0; border: 0; background: none; color: inherit; font-weight: inherit; cursor: pointer;
  text-decoration: underline dotted; }
th[aria-sort="ascending"] button::after { content: " \\2191"; } th[aria-sort="descending"] button::after { content: " \\2193"; }
#detail { position: sticky; bottom: 0; z-index: 3; margin: 1rem 0 0; padding: .6rem 1rem; border: 1px solid var(--line);
  border-radius: 6px 6px 0 0; background: var(--box); box-shadow: 0 -4px 12px #0003; }
#detail h2 { margin: 0 0 .2rem; } #detail button { float: right; } #detail p { color: var(--text); }
.hours { display: flex; flex-wrap: wrap; gap: 2px; margin: .4rem 0; padding: 0; list-style: none; }
.hours li { min-width: 2.1rem; padding: .1rem .2rem; text-align: center; font: 12px/16px ui-monospace, monospace;
  border: 1px solid var(--line); }
.hours span { display: block; }
svg .in, svg .out, svg .ratio { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
svg .in { stroke: var(--up); } svg .out { stroke: var(--down); stroke-dasharray: 6 3; } svg .ratio { stroke: var(--up); }
.axis { stroke: var(--line); } .key { margin-right: 1.2rem; } .key.in { color: var(--up); } .key.out { color: var(--down); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem 2rem; } .charts h3 { margin: 0;
  font-size: 1rem; }
[hidden] { display: none !important; }
@media print {
  @page { size: A4 landscape; margin: 10mm; }
  :root { --v: #b9e6c4; --v-text: #0a3818; --p: #ffd48a; --p-text: #452700; --s: #abd5ff; --s-text: #05294f; --m: #b3121d; --m-text: #fff;
    --x: #e3daf6; --x-text: #3b2967; --d: #e9ecf0; --d-text: #3d444d; --n: #fff; --n-text: #59636e; --warning: #6b4600; --fine: #14532a;
    --up: #0550ae; --down: #6b4600; }
  body { padding: 0; font-size: 9px; } .controls, .hint, #tip, #detail button { display: none !important; }
  #detail { position: static; box-shadow: none; } section { break-inside: auto; } tr { break-inside: avoid; } .table { overflow: visible; }
  .strip { font-size: 8px; line-height: 11px; letter-spacing: 1px; } .strip b { background-image: none; }
  .strips td, .strips th { padding: 0 .3rem; } th, td { padding: .1rem .3rem; } .strips th:first-child { position: static; min-width: 0; }
  td.state, .strips td.state { min-width: 0; } td, tbody th { white-space: normal !important; overflow-wrap: anywhere; overflow: visible; }
  tbody th { min-width: 11em; } td.number { overflow-wrap: normal; } .legend, .legend b { font-size: 9px; line-height: 11px; }
  .figures { grid-template-columns: repeat(7, 1fr); margin: .4rem 0; } .figures b { font-size: 14px; }
  .figures div { padding: .2rem .4rem; }
  h1 { font-size: 14px; } h2 { margin: .8rem 0 .2rem; font-size: 11px; break-after: avoid; }
}
"""
