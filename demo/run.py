# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo ('make demo'): three hosts, three stores, real logs, a nightly dump; archive, ship, verify, prune, restore, compare; a live log
that is followed into SQL; and a CloudTrail trail that is archived and validated.

It writes hourly syslogs for three hosts and a dump in a zip, starts an S3, an SFTP and an HTTPS server on this machine, runs
demo/playbook.yml on inventory.example, and compares what was restored with the logs and the dump. All it makes lies in one folder
(build/demo, or --folder); of /var/log it only reads.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import os
import pathlib
import shlex
import signal
import sys
import time
import typing as t

DEMO = pathlib.Path(__file__).resolve().parent
CHECKOUT = DEMO.parent
COLLECTIONS = CHECKOUT / "build" / "collections"
COLLECTION = COLLECTIONS / "ansible_collections" / "infra_ops" / "log_archive"
sys.path[:0] = [str(DEMO), str(CHECKOUT / "tests"), str(COLLECTIONS)]

import commands  # noqa: E402
import facts  # noqa: E402
from files import Failed, shown_path, sized  # noqa: E402
from logs import DUMP, LINES, write_dump, write_logs  # noqa: E402
from plays import BUCKET, play  # noqa: E402
from screen import Screen  # noqa: E402


def compare(folder: pathlib.Path, results: t.Any, screen: Screen) -> t.Dict[str, t.Dict[str, t.Any]]:
    """Compare what was restored with the logs and the dump, by host and store."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import unescaped

    screen.begin("Compare", "the restored files with their logs, byte by byte")
    compared: t.Dict[str, t.Dict[str, t.Any]] = {}
    for host in LINES:
        restored = results.of("archive_restore", host)
        held = results.of("archive_info", host)
        # What is fetched is known by a folder in which it lies only during a run.
        fetched = str(folder / "hosts" / host / "var" / "lib" / "log-archive" / "web") + os.sep

        def to_path(path: str, fetched: str = fetched) -> str:
            return str(folder / "stores" / "intranet" / DUMP) if path.startswith(fetched) else unescaped(path)

        compared[host] = {store: facts.compare(held[store], restored[store], to_path) for store in held}
    everything = [one for stores in compared.values() for one in stores.values()]
    wrong = [text for one in everything for text in one.wrong]
    if wrong:
        raise Failed("restored files are not what they must be:\n  " + "\n  ".join(wrong))
    identical = sum(one.identical for one in everything)
    since = sum(len(one.since) for one in everything)
    text = "%d files, %s, identical to their logs" % (identical, sized(sum(one.identical_bytes for one in everything)))
    screen.end(text + ("; %d more have a log that was written to since" % since if since else ""))
    return compared


def recap(folder: pathlib.Path, results: t.Any, compared: t.Any, first: bool, began: float, played: float, screen: Screen) -> str:
    """The text at the end."""
    import jinja2

    shown = shown_path(folder)
    launcher = shlex.quote(shown if os.path.isabs(shown) else "./" + shown) + "/log-archive"
    jobs = "--config %s/hosts/%%s/etc/log-archive/jobs.d" % shlex.quote(shown)
    commands = [
        "%s status %s --offline" % (launcher, jobs % "web1"),
        "%s list %s" % (launcher, jobs % "db1"),
        "%s verify %s --store local" % (launcher, jobs % "files1"),
        "%s prune syslog %s --store local --dry-run" % (launcher, jobs % "web1"),
        "%s restore syslog %s --store local --latest --to %s/restored-by-hand" % (launcher, jobs % "web1", shlex.quote(shown)),
    ]
    commands.append("%s stats %s/stream/sftpgo.json" % (launcher, shlex.quote(shown)))
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(size=sized, bold=screen.bold, dim=screen.dim, green=screen.green, yellow=screen.yellow)
    template = environment.from_string((DEMO / "recap.j2").read_text(encoding="utf-8"))
    places = [
        (shown + "/hosts/", "the hosts' folders: logs, keyring, catalog, archives, restored files"),
        (shown + "/stores/", "the data of the S3 and the SFTP server, and the files of the intranet"),
        (shown + "/fleet.html", "which hours of which host are archived, and how well: open it in a browser"),
        (shown + "/stream/page.html", "who transferred how much with SFTP, and when: open it in a browser"),
        (shown + "/cloud/report.html", "what was found in the CloudTrail trail: the report that an auditor gets"),
        (shown + "/ansible.log", "the output of Ansible"),
        (shown_path(DEMO / "playbook.yml"), "the playbook"),
        (shown_path(CHECKOUT / "inventory.example"), "the hosts, jobs and stores: copy it for your own inventory"),
    ]
    return template.render(
        hosts=[facts.of_host(host, results, compared[host]) for host in LINES],
        changed=results.changed,
        first=first,
        places=places,
        commands=commands,
        seconds=time.monotonic() - began,
        ansible_seconds=played,
    )


def demo(folder: pathlib.Path, verbosity: int, screen: Screen) -> None:
    """Run the demo once; raises Failed."""
    import servers
    import stream
    from lab.processes import NotReady, Unavailable

    began = time.monotonic()
    if not COLLECTION.exists():
        COLLECTION.parent.mkdir(parents=True, exist_ok=True)
        COLLECTION.symlink_to(os.path.relpath(CHECKOUT, COLLECTION.parent))
        # Python noted that the folder was not there.
        importlib.invalidate_caches()
    title = "infra_ops.log_archive: three hosts, three stores, a nightly dump, this machine's own /var/log (read only), a live log"
    print(screen.bold(title) + "\n", flush=True)
    screen.begin("Logs", "writing hourly syslogs")
    first = write_logs(folder, screen)
    write_dump(folder)
    with contextlib.ExitStack() as stack:
        screen.begin("Servers", "starting S3, SFTP and HTTPS on this machine")
        try:
            s3 = stack.enter_context(servers.s3_server(folder / "stores" / "s3"))
            sftp = stack.enter_context(servers.sftp_server(folder / "stores" / "sftp"))
            intranet = stack.enter_context(servers.https_server(folder / "stores" / "intranet"))
        except (Unavailable, NotReady) as error:
            raise Failed(str(error)) from error
        servers.have_bucket(s3, BUCKET)
        ports = (s3.host, s3.port, sftp.port, intranet.url.rpartition(":")[2])
        screen.end("on %s: S3 (OpenStack Swift) %d, SFTP (AsyncSSH) %d, the intranet's HTTPS %s" % ports)
        play_began = time.monotonic()
        results = play(folder, s3, sftp, intranet, verbosity, screen)
        played = time.monotonic() - play_began
    compared = compare(folder, results, screen)
    commands.write_job_documents(folder, results)
    screen.begin("Page", "writing the page of the fleet")
    screen.end(commands.write_fleet_page(folder))
    screen.begin("Follow", "storing the log of an SFTP server in SQL while it is written; the follower is killed once")
    try:
        lines, transfers = stream.follow_stream(folder / "stream", folder / "log-archive")
    except stream.StreamFailed as error:
        raise Failed(str(error)) from error
    screen.end(
        "{:,} lines of a live log in SQL, each exactly once, though the follower was killed: {:,} transfers".format(lines, transfers)
    )
    screen.begin("Search", "looking for failed logins in the archives of web1")
    screen.end(commands.search_archives(folder))
    screen.begin("Audit", "removing an archive behind the back of its store, and asking the ledger")
    screen.end(commands.remove_and_audit(folder))
    screen.begin("Cloud", "validating a CloudTrail trail of which somebody deleted a part")
    screen.end(commands.validate_trail(folder / "cloud"))
    print(recap(folder, results, compared, first, began, played, screen), flush=True)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> t.Iterator[None]:
    """Keep another demo out of the folder; the kernel lets go of the lock, however this one ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed("another demo is running in %s" % folder) from error
        yield


def prepare_environment() -> None:
    """Nothing that this shell has set for Ansible, AWS or a proxy may lead the demo elsewhere; what it writes is for us alone."""
    for name in list(os.environ):
        if name.startswith(("ANSIBLE_", "AWS_")):
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    os.umask(0o077)


def interrupted(number: int, frame: t.Any) -> t.NoReturn:
    # Once is enough: what is under way is ended in order.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(argv: t.Optional[t.Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Archive, ship, verify, prune, restore and compare on three hosts and three stores.")
    parser.add_argument("--folder", metavar="DIR", default=CHECKOUT / "build" / "demo", help="for all that is made (default: build/demo)")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="let Ansible write more to ansible.log: -v, -vvv")
    arguments = parser.parse_args(argv)
    folder = pathlib.Path(arguments.folder).absolute()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    prepare_environment()
    screen = Screen()
    try:
        with alone(folder):
            demo(folder, arguments.verbose, screen)
    except Failed as failure:
        screen.leave()
        print("\n%s %s" % (screen.red("The demo failed:"), failure), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.leave()
        print("\nStopped, and so are the servers. Run it again: it completes what is left.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
