# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive check-config`` and ``log-archive sample-config``."""

from __future__ import annotations

import os
import typing as t

from ..base.errors import EXIT_CONFIG, EXIT_DONE, ConfigError
from . import output
from .options import add_jobs

if t.TYPE_CHECKING:
    import argparse


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``check-config``."""
    add_jobs(parser)


def check(options: argparse.Namespace) -> int:
    """Check job documents, the folders that they name, and settings of the kernel that protect paths."""
    from ..base import protected
    from ..config import files
    from ..state import folders

    warnings = protected.warnings()
    results: t.List[t.Dict[str, t.Any]] = []
    for path in files.find(options.config, options.jobs):
        found = None
        try:
            document = files.load(path, look=True)
            for folder in (document["state"], document["spool"]):
                folders.check(folder)
        except ConfigError as error:
            found = error
        results.append({"path": path, "ok": found is None, "error": found and output.error_object(found), "warnings": warnings})
        if options.json:
            continue
        if found is None:
            output.print_text("%s: valid" % path)
        else:
            output.print_error(str(found))
    if options.json:
        output.print_json(results)
    else:
        for warning in warnings:
            output.print_error("warning: %s" % warning)
    return EXIT_DONE if all(result["ok"] for result in results) else EXIT_CONFIG


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``sample-config``."""
    parser.add_argument("--output", metavar="FILE", help="write it to this file, which must not exist (default: standard output)")


def write_sample(options: argparse.Namespace) -> int:
    """Write the template of a job document."""
    from ..config import files

    text = files.sample()
    if options.output is None:
        output.print_text(text.rstrip("\n"))
        return EXIT_DONE
    try:
        with open(options.output, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
            file.write(text)
    except OSError as error:
        raise ConfigError("cannot write the template: %s" % error.strerror, options.output) from error
    output.print_error("Wrote %s. Name the file after its job: JOB.json" % options.output)
    return EXIT_DONE
