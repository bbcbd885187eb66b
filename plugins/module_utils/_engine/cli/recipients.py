# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive key new-identity``, ``key unwrap`` and ``key rewrap``."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..base.errors import EXIT_DONE, ConfigError, LogArchiveError, UsageError
from ..base.texts import line
from . import output
from .options import add_identities, add_jobs_or_all, add_store, check_jobs_or_all, each_document, offline_of, progress_of, stores

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument
    from ..run.rewrap import Rewrapped


def add_new_identity_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``key new-identity``."""
    parser.add_argument("--output", metavar="FILE", help="write the identity to this new file (mode 0600), and print only the recipient")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def new_identity(options: argparse.Namespace) -> int:
    """Make a key pair of the type hpke."""
    from ..crypto.recipients import new_identity

    recipient, identity = new_identity()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = "# created: %s\n# public key: %s\n%s\n" % (created, recipient, identity)
    if options.output is not None:
        _write_private(options.output, text)
    if options.json:
        secret = {"identity": identity} if options.output is None else {}
        output.print_json({"recipient": recipient, **secret})
    elif options.output is None:
        output.write("stdout", text)
    else:
        output.print_text(recipient)
    return EXIT_DONE


def _write_private(path: str, text: str) -> None:
    """Write a new file that only this user can read. One that exists is left alone: it may hold the only key to archives."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            os.unlink(path)
            raise
    except FileExistsError:
        raise ConfigError("the file exists; it was not overwritten", path, "Name a new file") from None
    except OSError as error:
        raise LogArchiveError("cannot write the identity: %s" % error.strerror, path) from error


def add_unwrap_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``key unwrap``."""
    parser.add_argument("names", metavar="ARCHIVE", nargs="+", help="name or key of an archive, or path of a log in one")
    parser.add_argument("--job", dest="jobs", metavar="JOB", action="append", default=[], help="only this job; repeatable (default: all)")
    parser.add_argument("--host", help="archives of this host (default: this host; '*' selects every host)")
    add_store(parser, "look only in this store (default: in the first store of the job that has the archive)")
    add_identities(parser)
    parser.set_defaults(since=None, until=None, unencrypted=False)


def unwrap(options: argparse.Namespace) -> int:
    """Print the keys of single archives."""
    from ..crypto.envelope import FernetEnvelope, has_recipients
    from ..holdings.stock import Stock, require_names
    from ..holdings.trust import Choice
    from .recorded import holdings_of

    choice = Choice(options.names)
    found: t.Dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        stocks: t.List[Stock] = []

        def open_stock(document: JobDocument) -> None:
            holdings = holdings_of(document, options, stack)
            stocks.append(stack.enter_context(contextlib.closing(Stock(holdings, choice, _warn, check=True))))

        code = each_document(options, open_stock, lambda job, error: None)
        if not stocks:
            return code
        chosen = [(stock, archive) for stock in stocks for archive in stock.chosen(choice)]
        require_names([archive for _stock, archive in chosen], stocks, choice)
        for stock, archive in chosen:
            listed, copy = next(stock.copies(archive))
            subject = listed.store.location(copy.key)
            if not has_recipients(copy.manifest["encryption"]):
                raise ConfigError(
                    "the archive does not have its own key: the key that opens it also opens others",
                    subject,
                    "Restore the archive, and pass on its logs",
                )
            listed.trust.check(copy.key, copy.manifest, subject)
            found[copy.key] = t.cast(FernetEnvelope, listed.trust.envelope(copy.manifest, subject)).key_text()
        failed = [item for stock in stocks for item in stock.failed.values()]
    if options.json:
        output.print_json([{"archive": key, "key": text} for key, text in found.items()])
    else:
        output.write("stdout", "".join("%s\n" % text for text in found.values()))
    for item in failed:
        output.print_error("log-archive: %s" % item.why)
    return output.worst([code, 4] if failed else [code])


def _warn(text: str) -> None:
    output.print_error("log-archive: %s" % line(text))


def add_rewrap_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``key rewrap``."""
    add_jobs_or_all(parser, "the archives of every job")
    add_store(parser, "only the archives in this store (default: in each store of the job)")
    parser.add_argument("--add", metavar="RECIPIENT", action="append", default=[], help="public key of a new recipient; repeatable")
    parser.add_argument(
        "--remove",
        metavar="RECIPIENT",
        action="append",
        default=[],
        help="public key of a recipient, or id of a key of the keyring, that must no longer open the archives; repeatable",
    )
    add_identities(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def rewrap(options: argparse.Namespace) -> int:
    """Change the recipients of archives."""
    from ..crypto import keyring, recipients
    from ..run.rewrap import Wanted, rewrap
    from ..tell import report

    check_jobs_or_all(options)
    if not (options.add or options.remove):
        raise UsageError("--add and --remove are missing", hint="Give at least one recipient")
    add = [recipients.parse(text) for text in options.add]
    remove = {text if keyring.is_key_id(text) else recipients.parse(text).text for text in options.remove}
    both = sorted(remove & {recipient.text for recipient in add})
    if both:
        raise UsageError("--add and --remove have the same recipient: %s" % both[0])
    offline = offline_of(options)
    results: t.List[t.Tuple[str, Rewrapped]] = []
    codes: t.List[int] = []

    def rewrap_job(document: JobDocument) -> None:
        names = [store["name"] for store in stores(document, options.store)]
        done = rewrap(document, Wanted(add, remove, offline, names), options.dry_run, progress_of(options))
        results.extend((document["name"], one) for one in done)
        codes.extend(one.exit_code for one in done)

    codes.append(each_document(options, rewrap_job, lambda job, error: None))
    if options.json:
        output.print_json([{"job": job, **one._asdict()} for job, one in results])
    elif results:
        output.print_text(report.rewrapped([(job, one._asdict()) for job, one in results], options.dry_run))
    return output.worst(codes)
