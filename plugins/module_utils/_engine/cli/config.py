# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive check-config`` and ``log-archive sample-config``."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ..base.errors import EXIT_CONFIG, EXIT_DONE, ConfigError
from . import output

if t.TYPE_CHECKING:
    import argparse


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``check-config``."""
    parser.add_argument("jobs", metavar="DOCUMENT", nargs="*", help="name of a job or stream, or path of its document (default: all)")


def check(options: argparse.Namespace) -> int:
    """Check job and stream documents, the folders that they name, and settings of the kernel that protect paths."""
    from ..base import protected

    warnings, streams, circles = protected.warnings(), _streams(options), functools.cache(_circles)
    results: t.List[t.Dict[str, t.Any]] = []
    for path in _paths(options, streams):
        found = _mistake_in(path, "stream" if streams is not None and _is_in(path, streams) else "job", circles)
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


def _paths(options: argparse.Namespace, streams: t.Optional[str]) -> t.List[str]:
    """The documents to check: those named, or all of this host."""
    from ..base.errors import NoJobsError
    from ..config import files

    if options.jobs:
        return [path for name in options.jobs for path in _named(name, options.config, streams)]
    found: t.List[str] = []
    if streams is not None:
        try:
            found = files.find(streams, [], "stream")
        except NoJobsError:
            pass  # The folder is empty.
    try:
        return files.find(options.config, []) + found
    except NoJobsError:
        if not found:
            raise
        return found


def _streams(options: argparse.Namespace) -> t.Optional[str]:
    """Where the stream documents of this host are, if the option ``--config`` does not name other documents."""
    from ..config.spec import DEFAULT_CONFIG
    from . import stream_documents

    set_by_hand = os.environ.get("LOG_ARCHIVE_STREAMS") and options.config == os.environ.get("LOG_ARCHIVE_CONFIG", DEFAULT_CONFIG)
    path = stream_documents.folder() if set_by_hand or options.config == DEFAULT_CONFIG else None
    return path if path and os.path.exists(path) else None


def _named(name: str, config: str, streams: t.Optional[str]) -> t.List[str]:
    from ..config import files

    if streams is None or os.path.exists(os.path.join(config, name + ".json")):
        return files.find(config, [name])
    is_stream = files.job_of(streams) == name or os.path.exists(os.path.join(streams, name + ".json"))
    return files.find(streams, [name], "stream") if is_stream else files.find(config, [name])


def _is_in(path: str, config: str) -> bool:
    return os.path.abspath(config) in (os.path.abspath(path), os.path.dirname(os.path.abspath(path)))


def _mistake_in(path: str, expected: str, circles: t.Callable[[str], t.Mapping[str, str]]) -> t.Optional[ConfigError]:
    """One error with every mistake in a document and in the folders that it names; None if there is none. expected: its kind.

    circles: see ``_circles``.
    """
    from ..config import files, places
    from ..state import folders

    kind = files.kind_of(path, expected)
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
    if kind == "stream":
        circle = circles(os.path.dirname(os.path.abspath(path))).get(document["name"])
        if circle is not None:
            errors.append(ConfigError("streams follow each other in a circle", path, problems=[circle]))
    problems = list(places.missing(document))
    if problems:
        errors.append(ConfigError("folders of the %s are missing" % kind, path, problems=problems))
    return files.merged(errors, kind, path) if errors else None


def _circles(folder: str) -> t.Dict[str, str]:
    """By name: the streams of this folder that follow each other in a circle."""
    from ..config import files
    from ..config.stream_files import circles

    documents = []
    for path in files.find(folder, [], "stream"):
        # What is wrong with another document is reported for that one.
        with contextlib.suppress(ConfigError):
            documents.append(files.load_stream(path))
    return circles(documents)


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
