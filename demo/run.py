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
import datetime
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing as t

DEMO = pathlib.Path(__file__).resolve().parent
CHECKOUT = DEMO.parent
COLLECTIONS = CHECKOUT / "build" / "collections"
COLLECTION = COLLECTIONS / "ansible_collections" / "infra_ops" / "log_archive"
ENGINE = CHECKOUT / "plugins" / "module_utils" / "_engine"
sys.path[:0] = [str(DEMO), str(CHECKOUT / "tests"), str(COLLECTIONS)]

LINES = {"web1": 2000, "db1": 1200, "files1": 800}
"""The hosts of inventory.example, and how many lines they log in an hour."""

FIRST_HOURS = 26
LONGEST_PAUSE = 24
"""Hours: after a longer pause the demo starts over, because no logs were written in between."""

BUCKET = "log-archive"
DUMP = "dump.sql"
DUMP_ROWS = 20_000

OWN = ("hosts", "stores", "state", "stream", "cloud", "ansible.log", "log-archive", "fleet.html")
"""What the demo creates in its folder."""

PAGE_DAYS = 14
"""The last days that the page of the fleet shows."""

LABELS = {
    "file": ("Folders", "making sure that every host has a folder for keys"),
    "fernet_key": ("Keys", "making sure that every host has a key"),
    "archive_run": ("Archive", "fetching, packing, encrypting, shipping to three stores, verifying, pruning"),
    "archive_verify": ("Verify", "reading back every byte that the stores hold"),
    "archive_info": ("List", "asking the stores what they hold"),
    "archive_restore": ("Restore", "fetching, authenticating, decrypting, extracting"),
}


class Failed(Exception):
    """The demo cannot go on; the message gives the reason."""


# -- progress ---------------------------------------------------------------------------------------------------------


class Screen:
    """Prints progress: one line per step. On a terminal it redraws the line of the running step and uses colours."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.colours = self.terminal and "NO_COLOR" not in os.environ
        self._name = ""
        self._doing = ""
        self._began = 0.0

    def begin(self, name: str, doing: str) -> None:
        """Start a step."""
        self._name, self._doing, self._began = name, doing, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Show that the step still runs."""
        if self.terminal and self._name:
            width = shutil.get_terminal_size().columns - 1
            text = "  %-8s %5.1f s  %s ..." % (self._name, time.monotonic() - self._began, self._doing)
            print("\r\x1b[K" + text[:width], end="", flush=True)

    def end(self, done: str) -> None:
        """End the step, with what it has done."""
        print("%s  %-8s %s  %s" % (self._back(), self._name, self.dim("%5.1f s" % (time.monotonic() - self._began)), done), flush=True)
        self._name = ""

    def leave(self) -> None:
        """End the step that runs, if any, as one that was not done."""
        if self._name:
            print("%s  %-8s %s" % (self._back(), self._name, self.red("not done")), flush=True)
        self._name = ""

    def _back(self) -> str:
        return "\r\x1b[K" if self.terminal else ""

    def _coloured(self, text: str, code: str) -> str:
        return "\x1b[%sm%s\x1b[0m" % (code, text) if self.colours else text

    def bold(self, text: str) -> str:
        return self._coloured(text, "1")

    def dim(self, text: str) -> str:
        return self._coloured(text, "2")

    def red(self, text: str) -> str:
        return self._coloured(text, "31")

    def green(self, text: str) -> str:
        return self._coloured(text, "32")

    def yellow(self, text: str) -> str:
        return self._coloured(text, "33")


# -- logs -------------------------------------------------------------------------------------------------------------


def write_logs(folder: pathlib.Path, screen: Screen) -> bool:
    """Write the missing hourly logs up to the last hour that has ended; return whether this is the first run.

    The state records the last hour, so that another run within the hour finds the logs unchanged.
    """
    from generate_syslog import write_hours

    known = folder / "state" / "logs.json"
    end = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=1)
    hours = FIRST_HOURS
    again = ""
    if known.exists():
        last = datetime.datetime.fromisoformat(json.loads(known.read_text(encoding="ascii"))["last"])
        hours = int((end - last).total_seconds() // 3600)
        if hours > LONGEST_PAUSE:
            again = "the last run was %d hours ago: starting over; " % hours
            for name in OWN:
                remove(folder / name)
            hours = FIRST_HOURS
    first = not known.exists()
    size = count = 0
    for host, lines in LINES.items():
        # What a Debian host comes with.
        for usual in ("etc", "var/backups", "var/lib", "var/spool"):
            (folder / "hosts" / host / usual).mkdir(parents=True, exist_ok=True)
        logs = folder / "hosts" / host / "var" / "log" / "hourly"
        for path in write_hours(str(logs), max(hours, 0), end, lines, host):
            size += os.path.getsize(path)
            count += 1
    known.parent.mkdir(parents=True, exist_ok=True)
    if hours > 0:
        write(known, json.dumps({"last": end.isoformat()}))
    if count:
        span = "1 hour" if hours == 1 else "%d hours" % hours
        screen.end("%s%s of syslog for %s: %d logs, %s" % (again, span, ", ".join(LINES), count, sized(size)))
    else:
        screen.end("no hour has ended since the last run: no new syslog")
    return first


def write_dump(folder: pathlib.Path) -> None:
    """What the intranet offers: the dump of today in a zip, unless it is there. The dump itself lies beside what is served."""
    import random
    import zipfile

    intranet = folder / "stores" / "intranet"
    dump, offered = intranet / DUMP, intranet / "root" / "export.zip"
    now = datetime.datetime.now()
    if offered.exists() and dump.exists():
        with zipfile.ZipFile(offered) as archive:
            if archive.getinfo(DUMP).date_time[:3] == (now.year, now.month, now.day):
                return
    number = random.Random(now.toordinal())
    rows = ["insert into orders values (%d, %d, '%s');\n" % (row, number.randrange(10**6), now.date()) for row in range(DUMP_ROWS)]
    offered.parent.mkdir(parents=True, exist_ok=True)
    write(dump, "".join(rows))
    with zipfile.ZipFile(intranet / ".export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(dump, DUMP)
    (intranet / ".export.zip").replace(offered)


def remove(path: pathlib.Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(path: pathlib.Path, text: str, mode: int = 0o600) -> None:
    """Write a file whole, or leave it as it was."""
    part = path.with_name(path.name + ".part")
    part.touch(mode)
    part.chmod(mode)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def sized(size: float) -> str:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_size

    return format_size(size)


# -- ansible ----------------------------------------------------------------------------------------------------------


def play(folder: pathlib.Path, s3: t.Any, sftp: t.Any, intranet: t.Any, verbosity: int, screen: Screen) -> t.Any:
    """Run the playbook and show its tasks as steps; return the ``facts.Results``."""
    from facts import Results

    state = folder / "state"
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(state / "ansible" / "tmp"),
        "log_archive_root": "%s/hosts/{{ inventory_hostname }}" % folder,
        "log_archive_keyring": "{{ log_archive_root }}/etc/log-archive/keyring",
        "log_archive_spool": "{{ log_archive_root }}/var/spool/log-archive",
        "log_archive_state": "{{ log_archive_root }}/var/lib/log-archive",
        "log_archive_log_dir": "{{ log_archive_root }}/var/log",
        "log_archive_s3_endpoint": s3.endpoint_url,
        "log_archive_s3_bucket": BUCKET,
        "log_archive_s3_access_key": s3.access_key,
        "log_archive_sftp_host": sftp.host,
        "log_archive_sftp_port": sftp.port,
        "log_archive_sftp_user": sftp.user,
        "log_archive_sftp_private_key_file": sftp.private_key_file,
        "log_archive_sftp_known_hosts_file": sftp.known_hosts_file,
        "log_archive_intranet_url": intranet.url + "/export.zip",
        "log_archive_intranet_ca": intranet.ca_bundle,
    }
    write(state / "variables.json", json.dumps(variables, indent=2))
    events = state / "events.jsonl"
    write(events, "")
    command = [
        str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
        "-i", str(CHECKOUT / "inventory.example"),
        "-e", "@%s" % (state / "variables.json"),
        *(["-" + "v" * verbosity] if verbosity else []),
        str(DEMO / "playbook.yml"),
    ]  # fmt: skip
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(DEMO / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(state / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "LOG_ARCHIVE_DEMO_EVENTS": str(events),
        # Secrets go by the environment: everyone on this machine can read a command line.
        "LOG_ARCHIVE_S3_SECRET_KEY": s3.secret_key,
    }
    results = Results()
    shown = _Tasks(results, screen)
    with open(folder / "ansible.log", "w", encoding="utf-8") as log, open(events, encoding="utf-8") as lines:
        log.write("$ %s\n" % shlex.join(command))
        log.flush()
        try:
            with process_tree(command, env, log) as process:
                while process.poll() is None:
                    shown.take(lines)
                    time.sleep(0.1)
        finally:
            # An Ansible that was stopped leaves its files there, with the arguments of modules.
            remove(state / "ansible")
        shown.take(lines)
    if process.returncode or results.failed:
        shown.end()
        texts = ["%s: %s: %s" % failure for failure in results.failed] or ["ansible-playbook ended with %d" % process.returncode]
        raise Failed("\n  ".join(texts) + "\n  The output of Ansible is in %s" % shown_path(folder / "ansible.log"))
    shown.end()
    return results


class _Tasks:
    """Shows the tasks of the play as steps, from its events."""

    def __init__(self, results: t.Any, screen: Screen) -> None:
        self.results = results
        self.screen = screen
        self.module = ""
        self._rest = ""

    def take(self, lines: t.TextIO) -> None:
        """Take in the events that have been written since the last call."""
        self._rest += lines.read()
        *whole, self._rest = self._rest.split("\n")
        for line in whole:
            event = json.loads(line)
            if event["event"] == "task":
                self.end()
                self.module = event["action"].rpartition(".")[2]
                self.screen.begin(*LABELS.get(self.module, (self.module, event["task"])))
            self.results.add(event)
        self.screen.tick()

    def end(self) -> None:
        """Print what the task that ran has done."""
        if self.module and not self.results.failed:
            self.screen.end(summary(self.module, self.results))
        self.module = ""


def summary(module: str, results: t.Any) -> str:
    """What a task of the play has done on all hosts, in a line."""
    all_of = results.all_of(module)
    if module == "file":
        return "every host has a folder for keys"
    if module == "fernet_key":
        made = sum(result["changed"] for result in all_of)
        return "%d keys made, one for each host" % made if made == len(LINES) else "every host has its key"
    if module == "archive_run":
        archives = [archive for result in all_of for archive in result["recap"]["archives"]]
        pruned = sum(len(store["removed"]) for result in all_of for store in result["recap"]["pruned"].values())
        text = "%s -> %s in %s, %d copies in three stores" % (
            sized(sum(archive["source_bytes"] for archive in archives)),
            sized(sum(archive["size"] for archive in archives)),
            "1 archive" if len(archives) == 1 else "%d archives" % len(archives),
            sum(len(archive["stores"]) for archive in archives),
        )
        left_out = sum(store["archives"] for result in all_of for store in result["recap"]["not_shipped"].values())
        text = (text if archives else "nothing new") + ("; %d copies pruned" % pruned if pruned else "")
        return text + ("; %d copies not made that retention would remove at once" % left_out if left_out else "")
    if module == "archive_verify":
        return "%d copies match their manifests" % sum(result["verified"] for result in all_of)
    if module == "archive_info":
        totals = [result["totals"] for result in all_of]
        return "%d copies, %s, in the stores" % (sum(one["archives"] for one in totals), sized(sum(one["size"] for one in totals)))
    if module == "archive_restore":
        files = [file for result in all_of for file in result["files"]]
        written = sum(file["state"] == "written" for file in files)
        return "%d files restored" % written if written else "all %d files were there already" % len(files)
    return "done"


@contextlib.contextmanager
def process_tree(command: t.Sequence[str], env: t.Mapping[str, str], log: t.TextIO) -> t.Iterator[subprocess.Popen[bytes]]:
    """Run a command in its own session; if the context ends early, end the command and every process that it started."""
    from lab.processes import children_of, send

    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                # Modules included: the next run completes what they had begun.
                tree = [process.pid, *children_of(process.pid)]
                send(tree, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                send(tree[1:] if process.poll() is not None else tree, signal.SIGKILL)


# -- afterwards -------------------------------------------------------------------------------------------------------


def compare(folder: pathlib.Path, results: t.Any, screen: Screen) -> t.Dict[str, t.Dict[str, t.Any]]:
    """Compare what was restored with the logs and the dump, by host and store."""
    import facts
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


def write_job_documents(folder: pathlib.Path, results: t.Any) -> None:
    """Write each job as the document that the command ``log-archive`` reads on a host, and a launcher for the command.

    A document has no secret: on a host, S3 takes its credentials from the standard AWS chain.
    """
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB

    for host in LINES:
        jobs = folder / "hosts" / host / "etc" / "log-archive" / "jobs.d"
        jobs.mkdir(parents=True, exist_ok=True)
        for name, result in results.of("archive_run", host).items():
            document = as_written(result["invocation"]["module_args"]["job"], JOB)
            for store in document["stores"]:
                for secret in ("access_key_id", "secret_access_key"):
                    store.pop(secret, None)
            write(jobs / (name + ".json"), json.dumps(document, indent=2) + "\n")
    python = folder / "state" / "python"
    python.mkdir(exist_ok=True)
    remove(python / "log_archive")
    (python / "log_archive").symlink_to(ENGINE)
    start = "from log_archive.cli.main import end_with_main; end_with_main()"
    launcher = "#!/bin/sh\n# What a host has as the command log-archive.\nPYTHONPATH=%s exec %s -Xutf8 -c '%s' \"$@\"\n"
    write(folder / "log-archive", launcher % (shlex.quote(str(python)), shlex.quote(sys.executable), start), 0o700)


def write_fleet_page(folder: pathlib.Path) -> str:
    """Write the page of the fleet, as the playbook status does, from what the command prints on each host; returns what it shows."""
    from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

    printed = {}
    for host in LINES:
        jobs = folder / "hosts" / host / "etc" / "log-archive" / "jobs.d"
        command = [str(folder / "log-archive"), "status", "--offline", "--json", "--coverage", str(PAGE_DAYS), "--config", str(jobs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        printed[host] = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    write(folder / "fleet.html", fleet.page(printed))
    states: t.Dict[str, int] = {}
    for result in printed.values():
        for row in json.loads(result["stdout"]):
            for state, count in ((row.get("coverage") or {}).get("states") or {}).items():
                states[state] = states.get(state, 0) + count
    return "%d periods verified, %d missing: %s" % (states.get("verified", 0), states.get("missing", 0), shown_path(folder / "fleet.html"))


def search_archives(folder: pathlib.Path) -> str:
    """Find lines in the archives of a host, in its own folder, as a person on call would."""
    jobs = folder / "hosts" / "web1" / "etc" / "log-archive" / "jobs.d"
    document = json.loads((jobs / "syslog.json").read_text(encoding="utf-8"))
    # The servers of the other stores have stopped.
    store = next(store for store in document["stores"] if store["type"] == "file")
    options = ["--fixed", "--job", "syslog", "--store", store.get("name", "file"), "--count", "--config", str(jobs)]
    done = subprocess.run([str(folder / "log-archive"), "search", "Failed password", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("the search in the archives of web1 failed:\n%s%s" % (done.stdout, done.stderr))
    counts = [int(line.rpartition(":")[2]) for line in done.stdout.splitlines()]
    return "'log-archive search' found 'Failed password' in {:,} lines of {} archived logs; no log was restored".format(
        sum(counts), len(counts)
    )


def remove_and_audit(folder: pathlib.Path) -> str:
    """Remove an archive from a store as an intruder would, look what the ledger of its job shows, and put the archive back."""
    jobs = folder / "hosts" / "web1" / "etc" / "log-archive" / "jobs.d"
    document = json.loads((jobs / "syslog.json").read_text(encoding="utf-8"))
    # The servers of the other stores have stopped.
    document["stores"] = [store for store in document["stores"] if store["type"] == "file"]
    alone = folder / "state" / "audit.d"
    alone.mkdir(exist_ok=True)
    write(alone / "syslog.json", json.dumps(document))
    command = [str(folder / "log-archive"), "ledger", "verify", "--config", str(alone)]
    archive = next(iter(sorted(pathlib.Path(document["stores"][0]["path"]).rglob("web1/syslog/**/*.tgz.fernet"))))
    taken = folder / "state" / "taken"
    archive.rename(taken)
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        taken.rename(archive)
    after = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 4 or archive.name not in found.stdout or after.returncode:
        raise Failed("the ledger did not show that an archive was removed:\n%s%s" % (found.stdout, after.stdout))
    text = "'log-archive ledger verify' named the archive that was removed (%s: gone without a tombstone; exit code 4); it is back"
    return text % archive.name


def validate_trail(folder: pathlib.Path) -> str:
    """Archive a made-up CloudTrail trail from a server on this machine, delete a part of it there, and look what validation finds."""
    import cloud

    try:
        files, words = cloud.demonstrate(folder, lambda _text: None)
    except cloud.Failed as error:
        raise Failed(str(error)) from error
    text = "a made-up CloudTrail trail of %d files archived; deletions in its bucket found (%s); its archives are valid"
    return text % (files, ", ".join(words))


def as_written(value: t.Any, spec: t.Mapping[str, t.Any]) -> t.Any:
    """The options that somebody has set, without those that have their default anyway."""
    if isinstance(value, list):
        return [as_written(item, spec) for item in value]
    written = {}
    for name, item in value.items():
        if item is not None and item != spec[name].get("default"):
            written[name] = as_written(item, spec[name]["options"]) if "options" in spec[name] else item
    return written


def recap(folder: pathlib.Path, results: t.Any, compared: t.Any, first: bool, began: float, played: float, screen: Screen) -> str:
    """The text at the end."""
    import facts
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


def shown_path(path: pathlib.Path) -> str:
    """The path as a person would type it here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(pathlib.Path.cwd()))
    return str(path)


# -- all of it --------------------------------------------------------------------------------------------------------


def demo(folder: pathlib.Path, verbosity: int, screen: Screen) -> None:
    """Run the demo once; raises Failed."""
    import servers
    import stream
    from lab.processes import NotReady, Unavailable

    began = time.monotonic()
    if not COLLECTION.exists():
        COLLECTION.parent.mkdir(parents=True, exist_ok=True)
        COLLECTION.symlink_to(os.path.relpath(CHECKOUT, COLLECTION.parent))
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
    write_job_documents(folder, results)
    screen.begin("Page", "writing the page of the fleet")
    screen.end(write_fleet_page(folder))
    screen.begin("Follow", "storing the log of an SFTP server in SQL while it is written; the follower is killed once")
    try:
        lines, transfers = stream.follow_stream(folder / "stream", folder / "log-archive")
    except stream.StreamFailed as error:
        raise Failed(str(error)) from error
    screen.end(
        "{:,} lines of a live log in SQL, each exactly once, though the follower was killed: {:,} transfers".format(lines, transfers)
    )
    screen.begin("Search", "looking for failed logins in the archives of web1")
    screen.end(search_archives(folder))
    screen.begin("Audit", "removing an archive behind the back of its store, and asking the ledger")
    screen.end(remove_and_audit(folder))
    screen.begin("Cloud", "validating a CloudTrail trail of which somebody deleted a part")
    screen.end(validate_trail(folder / "cloud"))
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
