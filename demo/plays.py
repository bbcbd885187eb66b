# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook of the demo: its run, its tasks as steps on the screen, and what each has done."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import typing as t

from facts import Results
from files import Failed, remove, shown_path, sized, write
from logs import LINES
from screen import Screen

DEMO = pathlib.Path(__file__).resolve().parent
CHECKOUT = DEMO.parent
COLLECTIONS = CHECKOUT / "build" / "collections"

BUCKET = "log-archive"

LABELS = {
    "file": ("Folders", "making sure that every host has a folder for keys"),
    "fernet_key": ("Keys", "making sure that every host has a key"),
    "archive_run": ("Archive", "fetching, packing, encrypting, shipping to three stores, verifying, pruning"),
    "archive_verify": ("Verify", "reading back every byte that the stores hold"),
    "archive_info": ("List", "asking the stores what they hold"),
    "archive_restore": ("Restore", "fetching, authenticating, decrypting, extracting"),
}


def play(folder: pathlib.Path, s3: t.Any, sftp: t.Any, intranet: t.Any, verbosity: int, screen: Screen) -> Results:
    """Run the playbook and show its tasks as steps; return what they returned."""
    state = folder / "state"
    write(state / "variables.json", json.dumps(_variables(folder, s3, sftp, intranet), indent=2))
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


def _variables(folder: pathlib.Path, s3: t.Any, sftp: t.Any, intranet: t.Any) -> t.Dict[str, t.Any]:
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(folder / "state" / "ansible" / "tmp"),
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


class _Tasks:
    """Shows the tasks of the play as steps, from its events."""

    def __init__(self, results: Results, screen: Screen) -> None:
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


def summary(module: str, results: Results) -> str:
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
