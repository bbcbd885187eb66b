# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``log-archive``: what a host does by itself, with no controller and no Ansible.

Starting it imports no store, no cryptography and nothing else that the command at hand does not need: cron starts it every hour, for
nothing to do most of the time.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import typing as t

from .. import __version__
from ..base.errors import (
    EXIT_CONFIG,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTEGRITY,
    EXIT_LOCKED,
    EXIT_PARTLY,
    ConfigError,
    LogArchiveError,
    UsageError,
)
from ..config.spec import DEFAULT_CONFIG
from ..config.store_spec import LEVELS

if t.TYPE_CHECKING:
    from ..config.document import JobDocument as Document
    from ..holdings.inventory import StoredArchive
    from ..stores.base import Store

EXIT_CODES = """exit codes:
  0  done, or nothing to do
  1  failed
  2  a mistake in a job document or in the call
  3  partly done: what is left waits in the spool for the next run
  4  integrity failure: something is not what it must be
  5  locked: another run of the same job is under way"""

GRAVEST_FIRST = (EXIT_INTEGRITY, EXIT_CONFIG, EXIT_FAILED, EXIT_PARTLY, EXIT_LOCKED, EXIT_DONE)


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding does not have must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = EXIT_DONE
    try:
        try:
            options = parse(arguments)
            code = options.call(options)
        except LogArchiveError as error:
            code = error.exit_code
            if "--json" in arguments:
                _print_json({"exit_code": code, "error": _error_object(error)})
            _tell("log-archive: %s" % error)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _tell("log-archive: interrupted; the next run completes what is left")
        return 130
    except BrokenPipeError:
        _close_output()
    return code


def end_with_main() -> t.NoReturn:
    """What the launcher calls: ``main``, and then the process ends without Python's own tidying up, a tenth of an idle run."""
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
    sys.stderr.flush()
    os._exit(code)


def _close_output() -> None:
    """The reader (head, less) has gone; Python would complain at every further line, and when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print and exit with, so that ``--json`` covers wrong usage too."""

    def error(self, message: str) -> t.NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(message, hint="'%s --help' explains the options" % self.prog)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse makes one for every option; its own way to the terminal's width loads shutil and with it every compressor."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns
        except OSError:
            columns = 80
        super().__init__(prog, width=int(os.environ.get("COLUMNS") or columns) - 2)


def parse(arguments: t.Sequence[str]) -> argparse.Namespace:
    """The options of a call. Every option costs time: a call that names a command makes only that command's parser."""
    if arguments and arguments[0] in _COMMANDS:
        call, _text, add_options = _COMMANDS[arguments[0]]
        command = _Parser(prog="log-archive " + arguments[0], **_about(arguments[0]))
        command.add_argument(
            "--config",
            metavar="PATH",
            default=os.environ.get("LOG_ARCHIVE_CONFIG", DEFAULT_CONFIG),
            help="folder of job documents, or one document (default: $LOG_ARCHIVE_CONFIG or %(default)s)",
        )
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        add_options(command)
        command.set_defaults(call=call)
        return command.parse_args(arguments[1:])
    parser = _Parser(
        prog="log-archive",
        description="Archive logs: select, pack, encrypt, ship, verify, prune, restore.",
        epilog=EXIT_CODES,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--version", action="version", version="log-archive " + __version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (_call, text, _add_options) in _COMMANDS.items():
        commands.add_parser(name, help=text, **_about(name))
    return parser.parse_args(arguments)


def _about(name: str) -> t.Dict[str, t.Any]:
    text = _COMMANDS[name][1]
    return {"description": text[0].upper() + text[1:] + ".", "epilog": EXIT_CODES, "formatter_class": _HelpFormatter}


def _options_of_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document")
    command.add_argument("--all", action="store_true", help="run every job")
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    uploads = command.add_mutually_exclusive_group()
    uploads.add_argument("--confirm", action="store_true", help="ask before each upload that leaves this host")
    uploads.add_argument("--no-upload", action="store_true", help="send nothing off this host; archives wait in the spool for a later run")


def _options_of_list(command: argparse.ArgumentParser) -> None:
    _add_jobs_and_times(command)
    command.add_argument("--store", metavar="NAME", help="look into this store instead of the catalog")


def _options_of_verify(command: argparse.ArgumentParser) -> None:
    _add_jobs_and_times(command)
    command.add_argument("--store", metavar="NAME", help="only this store")
    command.add_argument("--level", choices=LEVELS, help="how sure it must be (default: the store's own)")


def _options_of_restore(command: argparse.ArgumentParser) -> None:
    _add_jobs_and_times(command)
    command.add_argument("--to", metavar="FOLDER", required=True, help="where the files go; they keep their paths below it")
    command.add_argument(
        "--name", metavar="NAME", action="append", default=[], help="an archive's name or key, or a log's path; repeatable"
    )
    command.add_argument("--latest", action="store_true", help="only the newest period of each job")
    command.add_argument("--store", metavar="NAME", help="from this store (default: the first of the job that can be reached)")
    command.add_argument("--overwrite", action="store_true", help="replace files with other content")
    command.add_argument("--unencrypted", action="store_true", help="accept archives that are not encrypted, of a job that encrypts")
    command.add_argument("--dry-run", action="store_true", help="only say what would be restored")


def _options_of_prune(command: argparse.ArgumentParser) -> None:
    _add_jobs(command)
    command.add_argument("--store", metavar="NAME", help="only this store")
    command.add_argument("--dry-run", action="store_true", help="print the plan, with a reason for each archive")


def _options_of_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=("list", "create", "rotate", "import", "remove"))
    command.add_argument("jobs", metavar="JOB", nargs="?", help="the job whose keyring it is (default: the only one)")
    command.add_argument("--keyring", metavar="FOLDER", help="the keyring itself, instead of a job")
    command.add_argument("--older-than", metavar="DURATION", help="rotate: only if the current key is older, such as 90d")
    command.add_argument("--key-file", metavar="FILE", help="import: the file that holds the key (default: standard input)")
    command.add_argument("--make-current", action="store_true", help="import: encrypt with this key from now on")
    command.add_argument("--key-id", metavar="ID", help="remove: the key to take out of use (it is kept aside, not destroyed)")


def _options_of_sample_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", metavar="FILE", help="write it to this new file")


def _options_of_status(command: argparse.ArgumentParser) -> None:
    _add_jobs(command)
    command.add_argument("--max-age", metavar="DURATION", help="overdue when the last success is older (default: two periods of the job)")


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document (default: all)")


def _add_jobs_and_times(command: argparse.ArgumentParser) -> None:
    _add_jobs(command)
    command.add_argument("--since", metavar="TIME", type=_time, help="only periods that end after this (2024-01-12 or 2024-01-12T13:00Z)")
    command.add_argument("--until", metavar="TIME", type=_time, help="only periods that begin before this")
    command.add_argument("--host", help="archives of this host (default: this one; '*' is every host)")


# -- commands ---------------------------------------------------------------------------------------------------------


def _run(options: t.Any) -> int:
    from ..run import job

    if bool(options.jobs) == options.all:
        raise UsageError("nothing to run" if not options.jobs else "name jobs or say --all, not both", hint="Name a job, or use --all")
    if options.confirm and not sys.stdin.isatty():
        raise UsageError("--confirm asks on a terminal, and there is none", hint="Leave it out where nobody can answer")
    confirm = _confirm if options.confirm else _refuse if options.no_upload else None
    return _each(options, lambda document: job.run(document, confirm=confirm, progress=_progress(options), check=options.dry_run))


def _prune(options: t.Any) -> int:
    from ..run import job

    def one(document: Document) -> t.Dict[str, t.Any]:
        stores = [store["name"] for store in _stores(document, options.store)]
        return job.prune(document, stores, check=options.dry_run)

    return _each(options, one)


def _each(options: t.Any, call: t.Callable[[Document], t.Dict[str, t.Any]]) -> int:
    """Call it for each job document and print its recap; one job's failure keeps no other from its run."""
    from ..config import files as config

    recaps = []
    codes = []
    for path in config.find(options.config, options.jobs):
        try:
            recap = call(config.load(path))
        except LogArchiveError as error:
            recap = {
                "job": os.path.basename(path)[: -len(".json")],
                "exit_code": error.exit_code,
                "outcome": "failed",
                "errors": [str(error)],
                "error": _error_object(error),
            }
        recaps.append(recap)
        codes.append(recap["exit_code"])
        if not options.json:
            from ..tell import report

            try:
                (_tell if recap["errors"] else _say)(report.recap(recap))
            except BrokenPipeError:
                _close_output()  # Nobody reads any more; the other jobs are run all the same.
    if options.json:
        _print_json(recaps)
    return gravest(codes)


def gravest(codes: t.Iterable[int]) -> int:
    """The exit code that speaks for several."""
    codes = list(codes)
    return next((code for code in GRAVEST_FIRST if code in codes), EXIT_DONE)


def _list(options: t.Any) -> int:
    from ..tell import report

    rows = []
    for document in _documents(options):
        if options.store:
            store_options = _stores(document, options.store)[0]
            with _opened(store_options) as store:
                rows += [_row(archive, {store.name: "held"}) for archive in _chosen(store, document, options)]
        else:
            rows += _catalogued(document, options)
    if options.json:
        _print_json(rows)
    else:
        _say(report.archives(rows))
    return EXIT_DONE


def _catalogued(document: Document, options: t.Any) -> t.List[t.Dict[str, t.Any]]:
    from ..holdings.inventory import StoredArchive, overlapping
    from ..state import catalog as catalogs

    if not catalogs.exists(document["state"]):
        return []
    catalog = catalogs.Catalog(document["state"])
    try:
        entries = {entry.key: entry for entry in catalog.entries(document["name"]) if options.host in (None, "*", entry.host)}
        archives = [StoredArchive(e.key, e.manifest["archive"]["size"], None, e.manifest) for e in entries.values()]
        rows = []
        for archive in overlapping(archives, options.since, options.until):
            copies = catalog.copies(entries[archive.key])
            stores = {name: copy.state if copy.state != "verified" else str(copy.verified_by) for name, copy in copies.items()}
            rows.append(_row(archive, stores))
        return rows
    finally:
        catalog.close()


def _row(archive: StoredArchive, stores: t.Dict[str, str]) -> t.Dict[str, t.Any]:
    manifest = archive.manifest
    return {
        "key": archive.key,
        "host": manifest["host"],
        "job": manifest["job"],
        "period": manifest["period"],
        "size": manifest["archive"]["size"],
        "source_bytes": sum(source["size"] for source in manifest["sources"]),
        "sources": [source["path"] for source in manifest["sources"]],
        "key_id": manifest["encryption"].get("key_id"),
        "sha256": manifest["archive"]["sha256"],
        "stores": stores,
    }


def _verify(options: t.Any) -> int:
    from ..holdings import verify as verifying
    from ..tell import report

    results = []
    for document in _documents(options):
        for store_options in _stores(document, options.store):
            with _opened(store_options) as store:
                held = _held(store, document, options)
                checked = [] if options.since or options.until else verifying.unusable(held)
                archives = _within(held.archives, options)
                for archive in archives:
                    with _progress(options)("verify %s" % store.location(archive.key), 0):
                        checked.append(verifying.verify(store, archive, options.level))
                results += [dict(one._asdict(), store=store.name, job=document["name"]) for one in checked]
    if options.json:
        _print_json(results)
    else:
        _say(report.verified(results))
    return EXIT_INTEGRITY if any(result["error"] for result in results) else EXIT_DONE


def _restore(options: t.Any) -> int:
    from ..archive import manifest as manifests
    from ..holdings import inventory, restore as restoring
    from ..tell import report

    results: t.List[t.Dict[str, t.Any]] = []
    destination = os.path.abspath(options.to)
    documents = _documents(options)
    sought = list(options.name)
    for document in documents:
        encryption = document["encryption"]
        unencrypted = options.unencrypted or encryption["format"] == "none"
        with _reachable(document, options) as (store, archives):
            if options.name:
                here = [name for name in sought if inventory.is_there(archives, name)]
                sought = [name for name in sought if name not in here]
                # The last job says what no job has.
                archives = inventory.named(archives, here + sought if document is documents[-1] else here)
            if options.latest:
                archives = inventory.latest(archives)
            for archive in restoring.last_states(archives):
                if options.dry_run:
                    results += [
                        {"archive": archive.key, "path": s["path"], "size": s["size"], "state": "would be written"}
                        for s in archive.manifest["sources"]
                    ]
                    continue
                with _progress(options)("restore %s" % store.location(archive.key), manifests.source_bytes(archive.manifest)) as advance:
                    files = restoring.restore_from_store(
                        store, archive, encryption["keyring"], destination, options.overwrite, advance, unencrypted
                    )
                results += [dict(file._asdict(), archive=archive.key) for file in files]
    if not results:
        raise LogArchiveError("no archive is in this range", hint="'log-archive list' shows what there is")
    if options.json:
        _print_json(results)
    else:
        _say(report.restored(results))
    return EXIT_DONE


def _key(options: t.Any) -> int:
    from ..base.units import parse_duration
    from ..crypto import keyring
    from ..tell import report

    folder = options.keyring
    if folder is None:
        options.jobs = [options.jobs] if options.jobs else []
        documents = _documents(options)
        folders = sorted({document["encryption"]["keyring"] for document in documents} - {None})
        if not folders:
            raise ConfigError("no job has a keyring", hint="Give --keyring")
        if len(folders) != 1:
            raise ConfigError("the jobs use several keyrings", ", ".join(folders), "Name one job, or give --keyring")
        folder = folders[0]
    if options.action == "remove" and not options.key_id:
        raise UsageError("which key? --key-id is missing", hint="'log-archive key list' shows the ids")
    change = None
    if options.action == "create":
        change = keyring.create(folder)
    elif options.action == "rotate":
        change = keyring.rotate(folder, parse_duration(options.older_than) if options.older_than else None)
    elif options.action == "import":
        change = keyring.import_key(folder, _read_key(options.key_file), options.make_current)
    elif options.action == "remove":
        change = keyring.remove(folder, options.key_id)
    keys = [info._asdict() for info in keyring.list_keys(folder)]
    if options.json:
        _print_json({"keyring": folder, "changed": bool(change and change.changed), "keys": keys})
    else:
        _say(report.keys(folder, keys, change.changed if change else None))
    return EXIT_DONE


def _read_key(path: t.Optional[str]) -> str:
    if path is None:
        if sys.stdin.isatty():
            import getpass

            return getpass.getpass("Fernet key: ")
        return sys.stdin.read()
    from ..crypto.keyring import read_key_text

    return read_key_text(path)


def _check_config(options: t.Any) -> int:
    from ..config import files as config

    results: t.List[t.Dict[str, t.Any]] = []
    for path in config.find(options.config, options.jobs):
        try:
            config.load(path)
            results.append({"path": path, "ok": True, "error": None})
        except ConfigError as error:
            results.append({"path": path, "ok": False, "error": _error_object(error)})
            if not options.json:
                _tell(str(error))
            continue
        if not options.json:
            _say("%s: fine" % path)
    if options.json:
        _print_json(results)
    return EXIT_DONE if all(result["ok"] for result in results) else EXIT_CONFIG


def _sample_config(options: t.Any) -> int:
    from ..config import files as config

    text = config.sample()
    if options.output is None:
        sys.stdout.write(text)
        return EXIT_DONE
    try:
        with open(options.output, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
            file.write(text)
    except OSError as error:
        raise ConfigError("the template cannot be written (%s)" % error.strerror, options.output) from error
    _tell("Wrote %s; the file's name must be that of the job, with .json" % options.output)
    return EXIT_DONE


def _status(options: t.Any) -> int:
    from ..base.units import parse_duration
    from ..state import status
    from ..tell import report

    max_age = parse_duration(options.max_age) if options.max_age else None
    rows = [status.of(document, max_age) for document in _documents(options)]
    if options.json:
        _print_json(rows)
    else:
        _say(report.status(rows))
    return gravest(row["exit_code"] for row in rows)


# -- shared -----------------------------------------------------------------------------------------------------------


def _documents(options: t.Any) -> t.List[Document]:
    from ..config import files as config

    return [config.load(path) for path in config.find(options.config, options.jobs)]


def _stores(document: Document, name: t.Optional[str]) -> t.List[t.Dict[str, t.Any]]:
    stores = [store for store in document["stores"] if name in (None, store["name"])]
    if not stores:
        known = ", ".join(store["name"] for store in document["stores"])
        raise ConfigError("the job '%s' has no such store" % document["name"], str(name), "Its stores: %s" % known)
    return stores


def _opened(store_options: t.Mapping[str, t.Any]) -> t.ContextManager[Store]:
    import contextlib

    from ..stores.opening import open_store

    return contextlib.closing(open_store(store_options))


def _held(store: Store, document: Document, options: t.Any) -> t.Any:
    from ..archive.naming import host_name
    from ..holdings import inventory

    host = None if options.host == "*" else options.host or host_name(document["host"])
    return inventory.read(store, host, document["name"])


def _within(archives: t.Iterable[StoredArchive], options: t.Any) -> t.List[StoredArchive]:
    from ..holdings.inventory import overlapping

    return overlapping(archives, options.since, options.until)


def _chosen(store: Store, document: Document, options: t.Any) -> t.List[StoredArchive]:
    return _within(_held(store, document, options).archives, options)


def _reachable(document: Document, options: t.Any) -> t.Any:
    """The first store of the job (or the one that was named) that answers, and its chosen archives."""
    import contextlib

    from ..base.errors import StoreError

    @contextlib.contextmanager
    def opened() -> t.Iterator[t.Tuple[Store, t.List[StoredArchive]]]:
        with contextlib.ExitStack() as stack:
            candidates = _stores(document, options.store)
            for number, store_options in enumerate(candidates, 1):
                store = stack.enter_context(_opened(store_options))
                try:
                    archives = _chosen(store, document, options)
                except StoreError as error:
                    if number == len(candidates):
                        raise
                    _tell("log-archive: store %s: %s; trying the next one" % (store.name, error))
                    continue
                if archives or number == len(candidates):
                    break
            yield store, archives

    return opened()


def _time(text: str) -> t.Any:
    from ..base.units import parse_time

    try:
        return parse_time(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _confirm(name: str, location: str, size: int) -> bool:
    from ..base.units import format_size

    # Not input(): that asks on standard output, which may be a file of JSON, and fails where the terminal is closed.
    sys.stderr.write("Send %s (%s) to %s? [y/N] " % (name, format_size(size), location))
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _refuse(_name: str, _location: str, _size: int) -> bool:
    return False


def _progress(options: t.Any) -> t.Any:
    """A progress bar on a terminal; nothing elsewhere, and nothing beside --json."""
    from ..tell import report

    return report.progress_bar if sys.stderr.isatty() and not options.json else report.no_progress


def _error_object(error: LogArchiveError) -> t.Dict[str, t.Any]:
    """An error in JSON. ``kind`` is stable (the classes of ``base.errors`` define it); ``text`` is the whole error as printed."""
    return {
        "kind": error.kind,
        "message": error.message,
        "subject": error.subject,
        "hint": error.hint,
        "problems": getattr(error, "problems", []),
        "text": str(error),
    }


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _print_json(value: t.Any) -> None:
    import json

    _say(json.dumps(value, indent=2))


_COMMANDS: t.Dict[str, t.Tuple[t.Callable[[t.Any], int], str, t.Callable[[argparse.ArgumentParser], None]]] = {
    "run": (_run, "archive what is new, ship it, verify it, prune", _options_of_run),
    "list": (_list, "list the archives, by the catalog or as a store has them", _options_of_list),
    "verify": (_verify, "check what the stores hold against the manifests", _options_of_verify),
    "restore": (_restore, "fetch, authenticate, decrypt and extract archives", _options_of_restore),
    "prune": (_prune, "apply retention now", _options_of_prune),
    "key": (_key, "look after the keyring of a job", _options_of_key),
    "check-config": (_check_config, "check job documents and name every mistake", _add_jobs),
    "sample-config": (_sample_config, "print a commented template of a job document", _options_of_sample_config),
    "status": (_status, "say when each job last succeeded, and what waits", _options_of_status),
}
