#!/usr/bin/env python3
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmarks: ours and the peer in turns, the median of at least three rounds, one table and one JSON file.

    PYTHONPATH=build/collections python tests/benchmarks/bench.py [--only NAME ...] [--rounds 5] [--quick] [--output FILE]

The collection must be importable: build/collections/ansible_collections/infra_ops/log_archive is this checkout (a symlink is
enough). demo/ and tests/ are put on the path here, so that a benchmark can ``import generate_syslog`` and ``import lab``.

A benchmark lives in a module ``bench_*.py`` beside this file, which lists it in ``BENCHMARKS`` (see ``_measure.Benchmark``).
``ratio`` is peer / ours (how many times as good we are), but ours / peer where the target is a cost. The status is 1 where a target is
missed (not judged with --quick) or a benchmark could not run.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import pathlib
import statistics
import sys
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "demo")]

import lab  # noqa: E402
from _measure import Benchmark, Target, scratch  # noqa: E402

Row = t.Dict[str, t.Any]
"""name, ours, peer, ratio, unit, target, reached, rounds; also ``skipped`` with the reason where it could not run."""


def discover() -> t.List[Benchmark]:
    """The benchmarks of all modules, by module name, in the order in which each lists them."""
    modules = [importlib.import_module(path.stem) for path in sorted(HERE.glob("bench_*.py"))]
    for module in modules:
        if not hasattr(module, "BENCHMARKS"):
            print("%s lists no BENCHMARKS and is left out" % module.__file__, file=sys.stderr)
    return [benchmark for module in modules for benchmark in getattr(module, "BENCHMARKS", [])]


def measure(benchmark: Benchmark, rounds: int, quick: bool) -> Row:
    """Run one benchmark."""
    ours: t.List[float] = []
    peer: t.List[float] = []
    try:
        with scratch() as folder, benchmark.prepare(folder, quick) as sides:
            for _round in range(rounds):
                ours.append(sides.ours())
                if sides.peer:
                    peer.append(sides.peer())
    except lab.Unavailable as error:
        return dict(judge(benchmark, None, None), rounds=0, skipped=str(error))
    return dict(judge(benchmark, statistics.median(ours), statistics.median(peer) if peer else None), rounds=rounds)


def judge(benchmark: Benchmark, ours: t.Optional[float], peer: t.Optional[float]) -> Row:
    """The row of these medians; ``reached`` is None without a target or a measurement."""
    target = benchmark.target
    ratio = reached = None
    if ours is not None and peer is not None:
        ratio = ours / peer if target and target.kind == "cost" else peer / ours
    if target and ours is not None:
        if target.kind == "value":
            reached = ours <= target.limit
        else:
            reached = ratio >= target.limit if target.kind == "faster" else ratio <= target.limit
    return {
        "name": benchmark.name,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "unit": benchmark.unit,
        "target": target and describe(target, benchmark.unit),
        "reached": reached,
    }


def describe(target: Target, unit: str) -> str:
    """The target in words: ``>= 15x``, ``<= 4x``, ``<= 5 s``."""
    if target.kind == "value":
        return "<= %g %s" % (target.limit, unit)
    return "%s %gx" % (">=" if target.kind == "faster" else "<=", target.limit)


def table(rows: t.Sequence[Row]) -> str:
    """The rows for people, aligned."""
    lines = [("name", "ours", "peer", "ratio", "target", "reached")]
    for row in rows:
        values = ["-" if row[side] is None else "%.4g %s" % (row[side], row["unit"]) for side in ("ours", "peer")]
        ratio = "-" if row["ratio"] is None else "%.2fx" % row["ratio"]
        reached = {None: "-", True: "yes", False: "no"}[row["reached"]]
        lines.append((row["name"], *values, ratio, row["target"] or "-", row.get("skipped") or reached))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def main(argv: t.Optional[t.Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks, ours and the peer in turns.")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=["*"], help="run these; shell patterns are allowed")
    parser.add_argument("--rounds", type=int, help="rounds of each, at least 3 (default 5, with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small inputs: shows that the benchmarks work; no target is judged")
    parser.add_argument("--output", type=pathlib.Path, help="default build/bench.json, with --quick build/bench-quick.json")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    arguments = parser.parse_args(argv)
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    if rounds < 3 and not arguments.quick:
        parser.error("--rounds: a median needs at least 3")
    benchmarks = discover()
    names = [benchmark.name for benchmark in benchmarks]
    for pattern in arguments.only:
        if not fnmatch.filter(names, pattern):
            parser.error("--only: no benchmark is called %r; there are %s" % (pattern, ", ".join(names)))
    chosen = [benchmark for benchmark in benchmarks if any(fnmatch.fnmatch(benchmark.name, pattern) for pattern in arguments.only)]
    if arguments.list:
        print("\n".join(benchmark.name for benchmark in chosen))
        return 0
    rows = []
    for benchmark in chosen:
        print("running %s ..." % benchmark.name, file=sys.stderr, flush=True)
        if arguments.quick:
            benchmark = benchmark._replace(target=None)
        rows.append(measure(benchmark, rounds, arguments.quick))
    output = arguments.output or HERE.parent.parent / "build" / ("bench-quick.json" if arguments.quick else "bench.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows))
    return 1 if any(row["reached"] is False or "skipped" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
