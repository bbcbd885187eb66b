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
    """Check job and stream documents, the folders that they name, and settings of the kernel that protect paths."""
    from ..base import protected

    warnings = protected.warnings()
    results: t.List[t.Dict[str, t.Any]] = []
    for path in _paths(options):
        found = _mistake_in(path)
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


def _paths(options: argparse.Namespace) -> t.List[str]:
    """The documents to check: those named, or all of this host."""
    from ..base.errors import NoJobsError
    from ..config import files
    from ..config.spec import DEFAULT_CONFIG, DEFAULT_STREAMS

    standard = options.config == DEFAULT_CONFIG
    if options.jobs:
        return [path for name in options.jobs for path in _named(name, options.config, standard)]
    streams: t.List[str] = []
    if standard and os.path.isdir(DEFAULT_STREAMS):
        try:
            streams = files.find(DEFAULT_STREAMS, [], "stream")
        except NoJobsError:
            pass  # The folder is empty.
    try:
        return files.find(options.config, []) + streams
    except NoJobsError:
        if not streams:
            raise
        return streams


def _named(name: str, config: str, standard: bool) -> t.List[str]:
    from ..config import files
    from ..config.spec import DEFAULT_STREAMS

    file_name = name + ".json"
    if standard and not os.path.exists(os.path.join(config, file_name)) and os.path.exists(os.path.join(DEFAULT_STREAMS, file_name)):
        return files.find(DEFAULT_STREAMS, [name], "stream")
    return files.find(config, [name])


def _mistake_in(path: str) -> t.Optional[ConfigError]:
    """One error with every mistake in a document, of a job or a stream, and in the folders that it names; None if there is none."""
    from ..config import files, places
    from ..state import folders

    kind = files.kind_of(path)
    errors: t.List[ConfigError] = []
    try:
        document: t.Any = files.load(path, look=True) if kind == "job" else files.load_stream(path)
    except ConfigError as error:
        return error
    for folder in filter(None, (document["state"], document.get("spool"))):
        try:
            folders.check(folder)
        except ConfigError as error:
            errors.append(error)
    problems = list(places.missing(document))
    if problems:
        errors.append(ConfigError("folders of the %s are missing" % kind, path, problems=problems))
    return files.merged(errors, kind, path) if errors else None


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
