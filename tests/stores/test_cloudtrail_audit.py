# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``audit validate``: what it remembers, what it does offline, and what fails in one region only."""

from __future__ import annotations

import collections
import gzip
import json
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
from lab import AwsServer, S3Server, SftpServer
from rigs import trail as trails
from rigs.trail import HOUR, START, Trail
from rigs.trail_host import TrailHost, make_bucket

END = START + 3 * HOUR
NOW = END + 2 * HOUR
SINCE = ("--since", trails.stamp(START), "--until", trails.stamp(END), "--trail-start", trails.stamp(START))


class Site:
    """A host whose job archives a trail of two regions and three hours."""

    def __init__(self, folder: pathlib.Path, server: AwsServer) -> None:
        self.server = server
        self.trail = Trail(3, regions=["eu-west-3", "us-east-1"], logs=1, records=1)
        self.client = make_bucket(server, self.trail)
        self.host = TrailHost(folder, server, self.trail)
        self.host.write_document(name="trail")

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.client.delete_object(Bucket=self.trail.bucket, Key=key)

    def empty_bucket(self) -> None:
        self.delete(*self.trail.objects)


@pytest.fixture
def site(tmp_path: pathlib.Path, aws_server: AwsServer) -> Site:
    return Site(tmp_path, aws_server)


@pytest.fixture
def validate(site: Site, capsys: pytest.CaptureFixture[str]) -> t.Callable[..., t.Tuple[int, t.Dict[str, t.Any]]]:
    """Call with arguments for the exit code and the report of ``audit validate``."""

    def call(*arguments: str) -> t.Tuple[int, t.Dict[str, t.Any]]:
        capsys.readouterr()
        code = main(["audit", "validate", "--config", str(site.host.folder / "jobs"), "--json", *arguments])
        return code, t.cast(t.Dict[str, t.Any], json.loads(capsys.readouterr().out)[0])

    return call


def words(report: t.Mapping[str, t.Any]) -> t.Dict[str, int]:
    return dict(collections.Counter(finding["word"] for finding in report["findings"]))


def test_a_report_can_be_filed(site: Site, validate: t.Any, tmp_path: pathlib.Path) -> None:
    site.delete(site.trail.logs_of("us-east-1")[1])
    page, filed = tmp_path / "report.html", tmp_path / "report.json"
    code, report = validate(*SINCE, "--html", str(page), "--report", str(filed))
    assert code == 4 and words(report) == {"log_missing": 1}
    assert json.loads(filed.read_text()) == [report]
    text = page.read_text()
    assert "NOT VALID" in text and "log_missing" in text and site.trail.logs_of("us-east-1")[1] in text and "<script" not in text
    assert [(chain["region"], chain["valid_logs"]) for chain in report["chains"]] == [("eu-west-3", 3), ("us-east-1", 2)]


def test_the_text_names_each_finding(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.delete(site.trail.digests()[1])
    code = main(["audit", "validate", "--config", str(site.host.folder / "jobs"), *SINCE])
    out = capsys.readouterr().out
    assert code == 4 and "5 of 5 digests and 5 of 5 log files are valid" in out
    assert "coverage_hole 123456789012 eu-west-3 audit: no valid digest covers the time" in out


def test_the_first_validation_needs_a_time(validate: t.Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = validate()
    assert code == 2 and "--since" in answer["error"]["text"]


def test_the_tail_never_goes_back(site: Site, validate: t.Any) -> None:
    assert validate(*SINCE)[0] == 0
    # Later the bucket is emptied, or filled with an older state of it: the time to validate is not the reason to find that.
    site.delete(*site.trail.digests()[1:], *site.trail.logs_of()[1:])
    code, report = validate("--until", trails.stamp(START + HOUR), "--since", trails.stamp(START))
    assert code == 4 and words(report) == {"tail_rewound": 1}
    site.empty_bucket()
    code, report = validate("--until", trails.stamp(END))
    assert code == 4 and words(report)["tail_rewound"] == 2


@pytest.mark.parametrize(("body", "word"), [(b"no gzip", "digest_unreadable"), (None, "digest_changed")], ids=["no gzip", "forged"])
def test_the_newest_digest_of_the_last_validation_is_compared_whatever_the_time(
    site: Site, validate: t.Any, body: t.Optional[bytes], word: str
) -> None:
    assert validate(*SINCE)[0] == 0
    key = site.trail.digests()[-1]
    forged = gzip.compress(gzip.decompress(site.trail.objects[key].body) + b" ")
    metadata = site.trail.objects[key].metadata
    site.client.put_object(Bucket=site.trail.bucket, Key=key, Body=body or forged, Metadata=metadata)
    code, report = validate("--since", trails.stamp(END + HOUR / 2), "--until", trails.stamp(END + HOUR / 2))
    assert code == 4 and words(report) == {word: 1}


def test_a_validation_goes_on_where_the_last_one_ended(site: Site, validate: t.Any) -> None:
    assert validate(*SINCE)[0] == 0
    before = site.server.requests()
    site.server.forget_requests()
    code, report = validate("--until", trails.stamp(END))
    assert code == 0 and report["since"] == trails.stamp(END) and len(site.server.requests()) < len(before)
    # The public keys are kept, too.
    assert [one.operation for one in before].count("ListPublicKeys") == 1
    assert "ListPublicKeys" not in [one.operation for one in site.server.requests()]


def test_what_was_found_is_found_again_until_a_later_time_is_given(site: Site, validate: t.Any) -> None:
    site.delete(site.trail.logs_of()[0])
    assert validate(*SINCE)[0] == 4
    assert validate("--until", trails.stamp(END))[0] == 4
    # The digest that ends at the given time belongs to it, as for aws-cli.
    assert validate("--since", trails.stamp(START + HOUR), "--until", trails.stamp(END))[0] == 4
    assert validate("--since", trails.stamp(START + HOUR * 1.1), "--until", trails.stamp(END))[0] == 0
    assert validate("--until", trails.stamp(END))[0] == 0


def test_a_clock_that_was_set_back_is_a_mistake_that_names_it(site: Site, validate: t.Any) -> None:
    assert validate(*SINCE)[0] == 0
    code, answer = validate("--until", trails.stamp(END - HOUR))
    assert code == 2 and "the last validation ended at %s" % trails.stamp(END) in answer["error"]["text"]
    assert "clock" in answer["error"]["text"]


def test_a_memory_that_cannot_be_read_is_an_error(site: Site, validate: t.Any) -> None:
    assert validate(*SINCE)[0] == 0
    memory = site.host.state / "audit" / "trail.bucket.json"
    memory.write_text("{")
    code, answer = validate(*SINCE)
    assert code == 1 and str(memory) in answer["error"]["text"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, "ThrottlingException", "aws_throttled"),
        (400, "ExpiredTokenException", "aws_expired"),
    ],
)
def test_a_region_that_fails_does_not_end_the_others(site: Site, validate: t.Any, status: int, error: str, kind: str) -> None:
    site.server.reset_answers()
    site.server.fail(status, error, service="cloudtrail", region="eu-west-3")
    site.server.set_public_keys(dict(trails.public_key(), Fingerprint="other"), trails.public_key())
    code, report = validate(*SINCE)
    assert code == 3 and [(one["region"], one["kind"]) for one in report["errors"]] == [("eu-west-3", kind)]
    assert report["findings"] == [] and [chain["region"] for chain in report["chains"]] == ["us-east-1"]
    # Nothing of it counts as verified.
    assert not any("/eu-west-3/" in name for name in report["verified"])


def test_a_key_that_is_no_key_is_a_finding(site: Site, validate: t.Any) -> None:
    site.server.reset_answers()
    site.server.set_public_keys({"Value": b"no key", "Fingerprint": trails.fingerprint()})
    code, report = validate(*SINCE)
    assert code == 4 and words(report)["key_unusable"] == 6
    # It is not kept: once CloudTrail answers with the key, all is well.
    site.server.reset_answers()
    site.server.set_public_keys(trails.public_key())
    assert validate(*SINCE)[0] == 0


def test_a_key_that_cloudtrail_does_not_have_is_a_finding(site: Site, validate: t.Any) -> None:
    site.server.reset_answers()
    site.server.set_public_keys()
    assert words(validate(*SINCE)[1])["key_missing"] == 6


def test_a_log_file_that_cannot_be_read_is_an_error_of_its_region(site: Site, validate: t.Any) -> None:
    key = site.trail.logs_of()[0]
    denied = "<Error><Code>AccessDenied</Code><Message>no kms:Decrypt</Message></Error>"
    site.server.answer(403, denied, method="GET", path="/%s/%s" % (site.trail.bucket, key))
    code, report = validate(*SINCE)
    assert code == 3 and report["findings"] == [] and len(report["errors"]) == 1
    assert "no kms:Decrypt" in report["errors"][0]["error"] and report["valid_logs"] == 5


def test_a_digest_that_unpacks_to_a_gigabyte_is_a_finding(site: Site, validate: t.Any) -> None:
    key = site.trail.digests()[1]
    bomb = gzip.compress(b"\0" * (17 << 20), 1)
    site.client.put_object(Bucket=site.trail.bucket, Key=key, Body=bomb, Metadata=site.trail.objects[key].metadata)
    code, report = validate(*SINCE)
    finding = next(one for one in report["findings"] if one["word"] == "digest_unreadable")
    assert code == 4 and finding["detail"] == "it unpacks to more than 16.0 MiB"


def test_a_backfill_digest_names_late_log_files(site: Site, validate: t.Any) -> None:
    trail = site.trail
    late = trail.add_log(START + HOUR * 1.5)
    backfill = trail.add_digest([late], START + HOUR, START + 2 * HOUR, backfill=True)
    for key in (late, backfill):
        site.client.put_object(Bucket=trail.bucket, Key=key, Body=trail.objects[key].body, Metadata=trail.objects[key].metadata)
    code, report = validate(*SINCE)
    assert (code, report["findings"], report["valid_logs"]) == (0, [], 7)


def test_a_new_signing_key_is_fetched(site: Site, validate: t.Any) -> None:
    assert validate(*SINCE)[0] == 0
    trail = site.trail
    log = trail.add_log(END + HOUR / 2)
    key = trail.add_digest([log], END, END + HOUR, key_number=1)
    for one in (log, key):
        site.client.put_object(Bucket=trail.bucket, Key=one, Body=trail.objects[one].body, Metadata=trail.objects[one].metadata)
    site.server.reset_answers()
    site.server.set_public_keys(trails.public_key(1))
    code, report = validate("--until", trails.stamp(END + HOUR))
    assert code == 4 and words(report) == {"tail_missing": 1}, "only the other region has no digest of this hour"
    assert {chain["verified_until"] for chain in report["chains"]} == {trails.stamp(END), trails.stamp(END + HOUR)}


# -- archives ---------------------------------------------------------------------------------------------------------


def test_the_archives_are_validated_without_the_bucket(site: Site, validate: t.Any) -> None:
    site.host.archive(NOW)
    site.empty_bucket()
    code, report = validate(*SINCE, "--archives")
    assert (code, report["findings"], report["valid_digests"], report["valid_logs"]) == (0, [], 6, 6)
    # And without CloudTrail, whose public keys are kept.
    site.server.forget_requests()
    code, report = validate(*SINCE, "--archives", "--offline")
    assert (code, report["findings"], report["valid_logs"], site.server.requests()) == (0, [], 6, [])


def test_archives_in_s3_and_sftp_stores_are_validated_offline(
    site: Site, validate: t.Any, swift: S3Server, bucket: str, openssh: SftpServer, tmp_path: pathlib.Path
) -> None:
    s3 = {
        "endpoint_url": swift.endpoint_url,
        "region": swift.region,
        "access_key_id": swift.access_key,
        "secret_access_key": swift.secret_key,
    }
    sftp = {"host": openssh.host, "port": openssh.port, "user": openssh.user, "private_key_file": openssh.private_key_file}
    sftp.update(known_hosts_file=openssh.known_hosts_file, path=str(tmp_path / "sftp"))
    (tmp_path / "sftp").mkdir()
    site.host.stores = [{"type": "s3", "bucket": bucket, **s3}, {"type": "sftp", **sftp}]
    site.host.write_document(name="trail")
    assert validate(*SINCE)[0] == 0
    site.delete(site.trail.logs_of()[1])
    site.host.archive(NOW)
    site.empty_bucket()
    site.server.forget_requests()
    for store in ("s3", "sftp"):
        code, report = validate(*SINCE, "--store", store, "--offline")
        assert (code, words(report), report["valid_digests"], report["valid_logs"]) == (4, {"log_missing": 1}, 6, 5), store
    assert site.server.requests() == []
    # An archive that one store has lost comes from the other one.
    shutil.rmtree(next((tmp_path / "sftp").rglob("03")))
    code, report = validate(*SINCE, "--archives", "--offline")
    assert (code, report["valid_digests"], words(report)["log_missing"]) == (4, 6, 1)
    assert validate(*SINCE, "--store", "sftp", "--offline")[1]["valid_digests"] < 6


def test_what_was_gone_when_it_was_archived_is_found_in_the_archives(site: Site, validate: t.Any) -> None:
    gone = [site.trail.logs_of()[1], site.trail.digests("us-east-1")[1]]
    site.delete(*gone)
    site.host.archive(NOW)
    code, report = validate(*SINCE, "--archives")
    assert code == 4
    assert words(report) == {"log_missing": 1, "digest_missing": 1, "coverage_hole": 1, "log_unnamed": 1}


def test_an_archive_that_is_gone_or_damaged_is_found(site: Site, validate: t.Any) -> None:
    site.host.archive(NOW)
    archives = sorted(site.host.store.rglob("*.fernet"))
    archives[1].write_bytes(archives[1].read_bytes()[:-50])
    code, report = validate(*SINCE, "--archives")
    assert code == 4 and words(report)["archive_damaged"] == 1 and words(report)["log_missing"] == 2
    shutil.rmtree(archives[0].parent)
    code, report = validate(*SINCE, "--archives")
    assert code == 4 and "no_digests" in words(report) or "coverage_hole" in words(report)


def test_a_host_without_a_trail_cannot_validate(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rigs.host import Host

    host = Host(tmp_path)
    host.write_document()
    for arguments in ([], ["syslog"]):
        code = main(["audit", "validate", "--config", str(host.folder / "jobs"), "--since", "2024-01-12", *arguments])
        assert code == 2 and "cloudtrail" in capsys.readouterr().err


def test_the_help_lists_the_commands_of_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--help"]) == 0
    assert "validate" in capsys.readouterr().out
    assert main(["help", "audit", "validate"]) == 0
    assert "--trail-start" in capsys.readouterr().out
    assert main(["audit"]) == 2 and main(["audit", "validat"]) == 2
    assert "Did you mean 'audit validate'" in capsys.readouterr().err
