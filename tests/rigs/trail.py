# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CloudTrail trail as AWS delivers it: log files with records, and hourly digests that an RSA key of the tests signs.

Format: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html. aws-cli
accepts these chains (tests/stores/test_cloudtrail.py).
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import random
import typing as t
import uuid
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ACCOUNT = "123456789012"
REGION = "eu-west-3"
TRAIL = "audit"
BUCKET = "trail-logs"
START = datetime(2026, 11, 3, 6, tzinfo=timezone.utc)

HOUR = timedelta(hours=1)

_CALLS = (
    # service, action, read only, error code, parameters
    ("ec2.amazonaws.com", "DescribeInstances", True, None),
    ("s3.amazonaws.com", "GetBucketAcl", True, "AccessDenied"),
    ("iam.amazonaws.com", "CreateAccessKey", False, None),
    ("sts.amazonaws.com", "AssumeRole", True, None),
    ("ec2.amazonaws.com", "RunInstances", False, "Client.UnauthorizedOperation"),
    ("kms.amazonaws.com", "Decrypt", True, None),
)


class Object(t.NamedTuple):
    """An object of the bucket: its bytes, and the metadata of the user (without x-amz-meta-)."""

    body: bytes
    metadata: t.Dict[str, str]


@functools.cache
def signing_key(number: int = 0) -> rsa.RSAPrivateKey:
    """A key pair of 2,048 bits, as AWS uses; made once for each number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key(number: int = 0) -> t.Dict[str, t.Any]:
    """An entry of ListPublicKeys' answer: Value is the DER of PKCS #1."""
    der = signing_key(number).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return {"Value": der, "Fingerprint": fingerprint(number)}


@functools.cache
def fingerprint(number: int = 0) -> str:
    """The fingerprint by which a digest names its key."""
    der = signing_key(number).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return hashlib.md5(der, usedforsecurity=False).hexdigest()


def stamp(moment: datetime) -> str:
    """'2026-11-03T06:00:00Z'."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def record(number: int, moment: datetime, region: str = REGION, account: str = ACCOUNT) -> t.Dict[str, t.Any]:
    """A record of a log file; the number decides what it is about."""
    service, action, read_only, error = _CALLS[number % len(_CALLS)]
    chance = random.Random(number)
    if number % 13 == 5:
        identity: t.Dict[str, t.Any] = {
            "type": "Root",
            "principalId": account,
            "arn": "arn:aws:iam::%s:root" % account,
            "accountId": account,
        }
    elif number % 7 == 3:
        identity = {"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}
    else:
        user = "user%d" % (number % 5)
        identity = {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE%010d" % (number % 5),
            "arn": "arn:aws:iam::%s:user/%s" % (account, user),
            "accountId": account,
            "accessKeyId": "AKIAEXAMPLE%09d" % (number % 5),
            "userName": user,
        }
    made = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": stamp(moment),
        "eventSource": service,
        "eventName": action,
        "awsRegion": region,
        "sourceIPAddress": identity.get("invokedBy", "198.51.100.%d" % (number % 50)),
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": {"number": number},
        "responseElements": None if read_only or error else {"requestId": str(uuid.UUID(int=chance.getrandbits(128)))},
        "requestID": str(uuid.UUID(int=chance.getrandbits(128))),
        "eventID": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "readOnly": read_only,
        "eventType": "AwsServiceEvent" if identity["type"] == "AWSService" else "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }
    if error is not None:
        made["errorCode"] = error
        made["errorMessage"] = "User: %s is not authorized to perform: %s" % (identity.get("arn", "-"), action)
    return made


class Trail:
    """A trail whose objects are in ``objects``, by key. Nothing is in a bucket until ``put`` is called.

    logs: log files of an hour and region; records: of a log file. A digest ends each hour of each region; the last one ends at ``end``.
    """

    def __init__(
        self,
        hours: int = 6,
        regions: t.Sequence[str] = (REGION,),
        logs: int = 2,
        records: int = 3,
        bucket: str = BUCKET,
        prefix: str = "",
        organization: t.Optional[str] = None,
        start: datetime = START,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/" if prefix else ""
        self.organization = organization
        self.regions = list(regions)
        self.home = self.regions[0]
        self.account, self.name, self.start = ACCOUNT, TRAIL, start
        self.logs, self.records = logs, records
        self.end = self.start
        self.objects: t.Dict[str, Object] = {}
        self._last: t.Dict[t.Tuple[str, bool], t.Tuple[str, bytes, str]] = {}
        self._number = 0
        for _hour in range(hours):
            self.deliver_hour()

    @property
    def arn(self) -> str:
        """The ARN that aws-cli takes."""
        return "arn:aws:cloudtrail:%s:%s:trail/%s" % (self.home, self.account, self.name)

    # -- names --------------------------------------------------------------------------------------------------------

    def folder(self, kind: str, region: str, day: t.Optional[datetime] = None) -> str:
        """The prefix of the keys of 'CloudTrail', 'CloudTrail-Digest' or 'CloudTrail-Insight'."""
        organization = self.organization + "/" if self.organization else ""
        parts = "%sAWSLogs/%s%s/%s/%s/" % (self.prefix, organization, self.account, kind, region)
        return parts if day is None else parts + day.strftime("%Y/%m/%d/")

    def log_key(self, moment: datetime, region: str = REGION, unique: t.Optional[str] = None) -> str:
        """The key of a log file that was delivered at this time."""
        self._number += 1
        unique = unique or base64.b32encode(hashlib.sha256(b"%d" % self._number).digest())[:16].decode()
        name = "%s_CloudTrail_%s_%s_%s.json.gz" % (self.account, region, moment.strftime("%Y%m%dT%H%MZ"), unique)
        return self.folder("CloudTrail", region, moment) + name

    def digest_key(self, end: datetime, region: str = REGION, backfill: bool = False) -> str:
        """The key of the digest that ends at this time."""
        stamp_of_name = end.strftime("%Y%m%dT%H%M%SZ") + ("_backfill" if backfill else "")
        name = "%s_CloudTrail-Digest_%s_%s_%s_%s.json.gz" % (self.account, region, self.name, self.home, stamp_of_name)
        return self.folder("CloudTrail-Digest", region, end) + name

    def digests(self, region: str = REGION) -> t.List[str]:
        """The keys of the digests of a region, oldest first; those of a backfill are not among them."""
        return sorted(key for key in self.objects if key.startswith(self.folder("CloudTrail-Digest", region)) and "_backfill" not in key)

    def logs_of(self, region: str = REGION) -> t.List[str]:
        """The keys of the log files of a region, oldest first."""
        return sorted(key for key in self.objects if key.startswith(self.folder("CloudTrail", region)))

    def logs_in(self, digest: str) -> t.List[str]:
        """The keys of the log files that a digest names."""
        return [log["s3Object"] for log in json.loads(gzip.decompress(self.objects[digest].body))["logFiles"]]

    # -- delivering ---------------------------------------------------------------------------------------------------

    def deliver_hour(self) -> None:
        """One more hour in every region: its log files and its digest."""
        for region in self.regions:
            keys = [self.add_log(self.end + HOUR * (number + 1) / (self.logs + 1), region) for number in range(self.logs)]
            self.add_digest(keys, self.end, self.end + HOUR, region)
        self.end += HOUR

    def add_log(self, moment: datetime, region: str = REGION, body: t.Optional[bytes] = None) -> str:
        """A log file, delivered at this time, that no digest names yet; returns its key."""
        key = self.log_key(moment, region)
        if body is None:
            first = self._number * self.records
            rows = [record(first + row, moment - timedelta(minutes=5), region, self.account) for row in range(self.records)]
            body = gzip.compress(json.dumps({"Records": rows}, separators=(",", ":")).encode(), mtime=0)
        self.objects[key] = Object(body, {})
        return key

    def add_digest(
        self,
        logs: t.Sequence[str],
        start: datetime,
        end: datetime,
        region: str = REGION,
        backfill: bool = False,
        restart: bool = False,
        key_number: int = 0,
        **changes: t.Any,
    ) -> str:
        """A signed digest that names these log files; returns its key.

        backfill: of the chain of backfill digests. restart: it begins a chain. key_number: which key signs. changes: fields to replace
        before it is signed.
        """
        chain = (region, backfill)
        previous = None if restart else self._last.get(chain)
        key = self.digest_key(end, region, backfill)
        times = [stamp(start), stamp(end)] if logs else [None, None]
        digest = {
            "awsAccountId": self.account,
            "digestStartTime": stamp(start),
            "digestEndTime": stamp(end),
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": fingerprint(key_number),
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": times[1],
            "oldestEventTime": times[0],
            "previousDigestS3Bucket": previous and json.loads(previous[1])["digestS3Bucket"],
            "previousDigestS3Object": previous and previous[0],
            "previousDigestHashValue": previous and hashlib.sha256(previous[1]).hexdigest(),
            "previousDigestHashAlgorithm": previous and "SHA-256",
            "previousDigestSignature": previous and previous[2],
            "logFiles": [
                {
                    "s3Bucket": self.bucket,
                    "s3Object": log,
                    "hashValue": hashlib.sha256(gzip.decompress(self.objects[log].body)).hexdigest(),
                    "hashAlgorithm": "SHA-256",
                    "newestEventTime": times[1],
                    "oldestEventTime": times[0],
                }
                for log in logs
            ],
            **changes,
        }
        plain = json.dumps(digest, separators=(",", ":")).encode()
        signature = sign(plain, digest, key_number)
        metadata = {"signature": signature, "signature-algorithm": "SHA256withRSA"}
        if backfill:
            metadata["backfill-generation-timestamp"] = stamp(self.end)
        self.objects[key] = Object(gzip.compress(plain, mtime=0), metadata)
        self._last[chain] = (key, plain, signature)
        return key

    # -- where it is kept ---------------------------------------------------------------------------------------------

    def put(self, client: t.Any) -> None:
        """Put every object into the bucket. client: of boto3, for S3."""
        for key, one in self.objects.items():
            client.put_object(Bucket=self.bucket, Key=key, Body=one.body, Metadata=one.metadata)


def sign(plain: bytes, digest: t.Mapping[str, t.Any], key_number: int = 0) -> str:
    """The signature of a digest, in hex. plain: its bytes before gzip."""
    text = "%s\n%s/%s\n%s\n%s" % (
        digest["digestEndTime"],
        digest["digestS3Bucket"],
        digest["digestS3Object"],
        hashlib.sha256(plain).hexdigest(),
        digest["previousDigestSignature"] or "null",
    )
    return signing_key(key_number).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()
