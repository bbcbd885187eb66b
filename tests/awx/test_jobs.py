# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs on real hosts, run by ansible-runner as AWX runs them: survey answers, credentials, limit, check mode, events, and no secret."""

from __future__ import annotations

import json
import pathlib
import secrets
import typing as t

import lab
import pytest
import yaml
from cryptography.fernet import Fernet

from .conftest import CHECKOUT, Controller
from .jobs import Jobs

# The same worker as the rest: all of it needs the same receiver.
pytestmark = pytest.mark.xdist_group("awx")

PASSWORD = "s3cret-of-the-account-" + secrets.token_hex(6)
ESCROW = "s3cret-of-the-escrow-" + secrets.token_hex(6)
FERNET = Fernet.generate_key().decode()


def documented_stores() -> t.Dict[str, t.Any]:
    """The stores as docs/awx.md writes them."""
    text = (CHECKOUT / "docs" / "awx.md").read_text(encoding="utf-8")
    block = text.partition("<!-- tested: stores -->\n```yaml\n")[2].partition("```")[0]
    return yaml.safe_load(block)["log_archive_stores"]


@pytest.fixture(scope="module")
def jobs(
    controller: Controller, start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory
) -> Jobs:
    """Two hosts to archive, one that is switched off, an SFTP account with a password on a fourth, and an S3 server."""
    hosts = start_part(lab.fleet(tmp_path_factory.mktemp("awx"), light=("web1", "db1", "off1", "sftp1"), libraries=True))
    swift = hosts.swift()
    stores = documented_stores()
    stores["bucket"].update(
        bucket=hosts.within(swift.make_bucket), endpoint_url=swift.endpoint_url, region=swift.region, addressing_style="path"
    )
    server = hosts.hosts["sftp1"]
    server.run(["useradd", "--create-home", "backup2"])
    server.run(["chpasswd"], input="backup2:%s\n" % PASSWORD)
    server.run(["install", "-d", "-o", "backup2", "/log-archive"])
    for name in ("web1", "db1"):
        host = hosts.hosts[name]
        host.path("/var/log/events").mkdir()
        for hour in ("11", "12"):
            host.path("/var/log/events/syslog.20240112." + hour).write_text("%s was here\n" % name, encoding="utf-8")
    hosts.hosts["off1"].stop()
    document = json.loads(hosts.inventory(user="").read_text(encoding="utf-8"))
    group = document["all"]["children"]["lab"]
    del group["hosts"]["sftp1"]
    # The login is the credential's.
    del group["vars"]["ansible_user"], group["vars"]["ansible_ssh_private_key_file"]
    group["vars"].update(
        ansible_ssh_common_args="-F none -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes" % hosts.known_hosts_file,
        log_archive_escrow=str(hosts.folder / "escrow"),
        log_archive_stores=stores,
        log_archive_jobs={
            "syslog": {
                "select": {"paths": ["/var/log/events"], "patterns": ["syslog.%Y%m%d.%H"], "period": "none"},
                "schedule": {"at": "01:00 daily"},
            }
        },
    )
    inventory = hosts.folder / "inventory.yml"
    inventory.write_text(json.dumps(document), encoding="utf-8")
    key = pathlib.Path(hosts.private_key_file).read_text(encoding="utf-8")
    host_key = server.host_keys[0].split()
    credentials = {
        "Machine": {"username": "admin", "ssh_key_data": key},
        "Amazon Web Services": {"username": swift.access_key, "password": swift.secret_key},
        "log-archive SFTP store": {
            "host": server.address,
            "user": "backup2",
            "host_key": " ".join(host_key[-2:]),
            "password": PASSWORD,
        },
        "log-archive Fernet key": {"fernet_keys": FERNET, "escrow_vault_secret": ESCROW},
    }
    return Jobs(controller.awx, hosts, inventory, credentials)


@pytest.fixture(scope="module")
def set_up(jobs: Jobs) -> Jobs:
    """The hosts that are there as 'log-archive site' sets them up, with all that -vvv tells."""
    outcome = jobs.launch("site", limit="web1:db1", verbosity=3)
    assert (outcome.code, outcome.status) == (0, "successful"), outcome.output
    assert outcome.hosts() == {"web1", "db1"}
    assert {host for host, _task in outcome.changed()} == {"web1", "db1"}
    return jobs


def archives(jobs: Jobs, host: str) -> t.Set[str]:
    """The names of a host's archives on the SFTP server."""
    folder = jobs.fleet.hosts["sftp1"].path("/log-archive/" + host)
    return {path.name for path in folder.rglob("*.fernet")}


def test_the_credentials_reach_the_hosts_documents_and_keyrings(set_up: Jobs) -> None:
    for name in ("web1", "db1"):
        host = set_up.fleet.hosts[name]
        document = host.path("/etc/log-archive/jobs.d/syslog.json").read_text(encoding="utf-8")
        stores = {each["name"]: each for each in json.loads(document.partition("\n")[2])["stores"]}
        assert stores["offsite"]["password"] == PASSWORD
        assert stores["bucket"]["secret_access_key"] == set_up.credentials["Amazon Web Services"]["password"]
        keys = [path.read_text(encoding="ascii").strip() for path in host.path("/etc/log-archive/keyring").glob("*.key")]
        assert keys == [FERNET]
        copies = list((set_up.fleet.folder / "escrow" / name).glob("*.key"))
        assert [each.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT;") for each in copies] == [True]


def test_a_second_job_changes_nothing(set_up: Jobs) -> None:
    outcome = set_up.launch("site", limit="web1")
    assert outcome.code == 0, outcome.output
    assert outcome.changed() == []


def test_a_check_shows_and_does_nothing_and_a_limit_is_kept(set_up: Jobs) -> None:
    outcome = set_up.launch("archive", limit="web1", check=True, diff=True)
    assert outcome.code == 0, outcome.output
    assert outcome.hosts() == {"web1"}
    assert "done (dry run)" in outcome.output and "; 2 archives, " in outcome.output, outcome.output
    assert archives(set_up, "web1") == set()

    outcome = set_up.launch("archive", limit="web1")
    assert outcome.code == 0, outcome.output
    assert outcome.hosts() == {"web1"}
    assert [host for host, _task in outcome.changed()] == ["web1"]
    assert archives(set_up, "web1") == {"syslog.20240112.11.tgz.fernet", "syslog.20240112.12.tgz.fernet"}
    assert archives(set_up, "db1") == set()


def test_a_host_that_is_switched_off_is_told_and_harms_no_other(set_up: Jobs) -> None:
    outcome = set_up.launch("archive", {"log_archive_only_jobs": "syslog", "log_archive_upload": "yes"})
    assert (outcome.code == 0, outcome.status) == (False, "failed")
    assert outcome.tasks("off1", "runner_on_unreachable") != []
    assert outcome.tasks("off1", "runner_on_failed") != []
    assert outcome.tasks("db1", "runner_on_failed") == []
    assert len(archives(set_up, "db1")) == 2


@pytest.mark.parametrize(
    "answers", [{}, {"log_archive_level": "read_back", "log_archive_start": "2024-01-12", "log_archive_only_store": "bucket"}]
)
def test_verify_proves_what_the_stores_hold(set_up: Jobs, answers: t.Dict[str, str]) -> None:
    set_up.launch("archive", limit="web1:db1")
    outcome = set_up.launch("verify", answers, limit="web1:db1")
    assert outcome.code == 0, outcome.output
    assert outcome.changed() == []


def test_status_and_the_plan_of_prune(set_up: Jobs) -> None:
    outcome = set_up.launch(
        "status", {"log_archive_only_jobs": "syslog", "log_archive_fail_when_bad": "true", "log_archive_max_age": "1d"}, limit="web1:db1"
    )
    assert outcome.code == 0, outcome.output
    assert outcome.changed() == []
    outcome = set_up.launch("prune", {"log_archive_only_store": "offsite"}, limit="web1:db1", check=True)
    assert outcome.code == 0, outcome.output


def test_restore_on_another_host(set_up: Jobs) -> None:
    set_up.launch("archive", limit="web1")
    answers = {
        "log_archive_restore_host": "web1",
        "log_archive_restore_on": "db1",
        "log_archive_restore_to": "/srv/restored",
        "log_archive_names": "syslog.20240112.12.tgz.fernet",
    }
    outcome = set_up.launch("restore", answers)
    assert outcome.code == 0, outcome.output
    restored = set_up.fleet.hosts["db1"].path("/srv/restored")
    assert {str(path.relative_to(restored)): path.read_text(encoding="utf-8") for path in restored.rglob("*") if path.is_file()} == {
        "var/log/events/syslog.20240112.12": "web1 was here\n"
    }


def test_the_answers_to_rotate_keys_and_remove_arrive(set_up: Jobs) -> None:
    # The keys in the credential are the current ones, so they are not rotated here.
    credentials = {**set_up.credentials, "log-archive Fernet key": {"fernet_keys": "", "escrow_vault_secret": ESCROW}}
    outcome = set_up.launch("rotate_keys", {"log_archive_keys_older_than": "90d"}, limit="web1", check=True, credentials=credentials)
    assert outcome.code == 0, outcome.output
    assert outcome.changed() == []
    set_up.fleet.hosts["web1"].path("/var/log/events/syslog.20240112.13").write_text("waits\n", encoding="utf-8")
    outcome = set_up.launch("archive", {"log_archive_upload": "no"}, limit="web1")
    assert outcome.code == 0, outcome.output
    assert list(set_up.fleet.hosts["web1"].path("/var/spool/log-archive").rglob("*.manifest.json")), outcome.output
    # Archives that wait in the spool are given up only by an answer.
    kept, given_up = (set_up.launch("remove", {"log_archive_remove_spool": each}, limit="web1", check=True) for each in ("false", "true"))
    assert (kept.code, given_up.code) == (2, 0), kept.output + given_up.output
    assert "log_archive_remove_spool=true" in kept.output


def test_every_job_was_searched_for_every_secret(set_up: Jobs) -> None:
    assert len(set_up.secrets) == 5
    assert set_up.searched > 100
