# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in an S3 bucket (AWS and compatible servers), over boto3.

Every request that carries bytes of an archive carries their Content-MD5, which S3 servers check before they acknowledge. The ETag is
compared too, if it is an MD5: of the object, or ``md5(md5 of each part)-N`` for one sent in N parts. A server that encrypts with KMS
or a key of the customer, or makes up its ETags, proves the bytes by having accepted the digests of the requests.
"""

from __future__ import annotations

import hashlib
import os
import threading
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import ConfigError, IntegrityError, LogArchiveError, StoreExistsError, StoreNotFoundError, StoreUnavailableError
from ..base.levels import reaches
from ..base.progress import Advance
from ..base.units import parse_size
from . import s3_versions
from .base import Digests, Outcome, Pieces, PutResult, Store, StoredObject, Verification, open_spooled
from .s3_errors import AccessDeniedError, BadDigestError, NoSuchUploadError
from .s3_multipart import (
    ETAG_HINT,
    MIN_PART_SIZE,
    MultipartUploads,
    Part,
    SentObject,
    etag_of_parts,
    read_parts,
    size_of_parts,
)
from .s3_requests import Answer, Bucket, LocalFile, etag_of, number_of_parts, to_base64

if t.TYPE_CHECKING:
    from ..base.beneath import Local
    from ..config.document import StoreOptions


class S3Store(Store):
    """Archives as objects ``<prefix>/<key>`` of a bucket.

    A file larger than ``part_size`` is sent in parts. boto3 itself makes each request once: retries are those of ``Store`` alone, and a
    retried put sends only the missing parts.
    """

    default_level = "server_digest"

    def __init__(self, options: StoreOptions) -> None:
        super().__init__(options)
        self.part_size = parse_size(options["part_size"])
        if self.part_size < MIN_PART_SIZE:
            raise ConfigError("part_size must be at least %d bytes (5 MiB)" % MIN_PART_SIZE, self.name)
        self.bucket = Bucket(options)
        self._delete_versions = options["versions"] == "delete"
        self._uploads = MultipartUploads(self.bucket)
        # By digests: the expected ETag of an object that was sent in parts.
        self._etags_of_parts: t.Dict[Digests, str] = {}

    def _location(self, name: str = "") -> str:
        return self.bucket.location(name)

    def close(self) -> None:
        self.bucket.close()

    def _reset(self) -> None:
        self.close()

    # -- put ----------------------------------------------------------------------------------------------------------

    def put(self, path: Local, key: str, digests: Digests, progress: t.Optional[Advance] = None) -> PutResult:
        try:
            return super().put(path, key, digests, progress)
        except StoreUnavailableError:
            # The next run continues it; ``clean`` finds what is never continued.
            self._uploads.leave()
            raise
        finally:
            self._uploads.abort()

    def _put(self, path: Local, name: str, digests: Digests, progress: Advance) -> Verification:
        lock = threading.Lock()

        def moved(count: int) -> None:
            with lock:
                progress(count)

        with open_spooled(path) as stream:
            file = LocalFile(stream.fileno(), str(path), digests)
            if os.fstat(file.descriptor).st_size != digests.size:
                raise IntegrityError("the archive changed after it was packed: its size differs", str(path))
            if digests.size <= self.part_size:
                self._check_key_is_free(file, name)
                sent = self._put_whole(file, name, moved)
            else:
                sent = self._uploads.send(file, name, self.part_size, lambda: self._check_key_is_free(file, name), moved)
                self._etags_of_parts[digests] = sent.etag
        try:
            return self._check_sent(name, digests, sent)
        except IntegrityError as error:
            raise IntegrityError(error.message, error.subject, self._remove_damaged(name, digests, sent, error.hint)) from error

    def _replace(self, path: Local, name: str, digests: Digests) -> None:
        self.bucket.overwrites = True
        try:
            with open_spooled(path) as stream:
                file = LocalFile(stream.fileno(), str(path), digests)
                self._check_sent(name, digests, self._put_whole(file, name, lambda count: None))
        finally:
            self.bucket.overwrites = False

    def _check_key_is_free(self, file: LocalFile, key: str) -> None:
        try:
            found = self.bucket.head(key)
        except AccessDeniedError:
            # Without the right to list, AWS answers 403 for a missing object. The put itself never replaces an object.
            if not self.bucket.if_none_match:
                raise
            return
        if found is None:
            return
        size = file.digests.size
        parts = number_of_parts(etag_of(found))
        if parts and found["ContentLength"] == size and parts == -(-size // size_of_parts(size, self.part_size)):
            # A killed run may have sent it. The local file gives the expected ETag, without reading the object back.
            self._etags_of_parts[file.digests] = etag_of_parts(list(self._read_parts(file)))
        raise StoreExistsError("an object already exists under this name", self._location(key))

    def _read_parts(self, file: LocalFile) -> t.Iterator[Part]:
        return read_parts(file, self.part_size, self.bucket.sends_sha256)

    def _put_whole(self, file: LocalFile, key: str, progress: Advance) -> SentObject:
        md5, sha256 = bytes.fromhex(file.digests.md5), bytes.fromhex(file.digests.sha256)
        try:
            answer = self.bucket.write_new(
                "put_object",
                key,
                Body=self.bucket.body(file, 0, file.digests.size, progress),
                ContentMD5=to_base64(md5),
                **self.bucket.checksum_parameters(sha256),
                **self.bucket.new_object_parameters(),
            )
        except BadDigestError:
            # The bytes were damaged on the way or on our disk. Reading the parts checks the file.
            for _part in self._read_parts(file):
                pass
            raise
        return SentObject(answer, file.digests.md5, to_base64(sha256))

    def _remove_damaged(self, key: str, digests: Digests, sent: SentObject, hint: t.Optional[str]) -> str:
        """Remove the object that the put created; return a hint about it. StoreExistsError if another writer has replaced it.

        Not every server checks If-None-Match and stores in one step, so two writers can both be the first.
        """
        version = {"VersionId": sent.answer["VersionId"]} if sent.answer.get("VersionId") else {}
        try:
            head = self.bucket.head(key)
            if head is not None and not version and etag_of(head) not in (etag_of(sent.answer), sent.etag, digests.md5):
                raise StoreExistsError("another writer stored an object under this name", self._location(key))
            self.bucket.call_on("delete_object", key, **version)
        except StoreExistsError:
            raise
        except LogArchiveError as error:
            return "It could not be removed again (%s): remove it yourself" % error.message
        return "It was removed again%s" % ("" if hint is None else ". " + hint)

    # -- proof --------------------------------------------------------------------------------------------------------

    def _check_sent(self, key: str, digests: Digests, sent: SentObject) -> Verification:
        """The proof that a put just done gives; IntegrityError if the server reports other bytes."""
        head = self.bucket.head(key)
        if head is None:
            raise StoreUnavailableError("the object that was just stored does not exist", self._location(key))
        self._check_size(head, key, digests)
        right = (sent.etag, digests.md5)
        # The ETag of an object in parts can be compared if it ends with their number; some servers use other ETags for them.
        answered, found = (
            etag if etag in right or sent.etag == digests.md5 or number_of_parts(etag or "") else None
            for etag in (self.bucket.md5_in_etag(sent.answer), self.bucket.md5_in_etag(head))
        )
        if answered not in (None, *right) or (answered is None and found not in (None, *right)):
            raise IntegrityError(
                "the server reports the ETag %s; the bytes sent have %s" % (answered or found, sent.etag), self._location(key), ETAG_HINT
            )
        # A SHA-256 is of the whole object or (with '-N') of the digests of its parts. A server may report the other kind, which cannot be
        # compared here.
        sha256 = sent.answer.get("ChecksumSHA256") or sent.sha256
        if sha256 != sent.sha256 and ("-" in sha256) == ("-" in sent.sha256):
            raise IntegrityError("the SHA-256 that the server reports differs from the one that was sent", self._location(key))
        if self.bucket.md5_in_etag(head) not in (None, *right) and answered is not None:
            # The bytes arrived, and then the ETag changed: a proxy uses different ETags, or another writer replaced the object.
            return self._read_back(key, digests, etag_of(head))
        if not reaches("server_digest", self.verify_level):
            return self._verify(key, digests, self.verify_level)
        md5 = digests.md5 if digests.md5 in (answered, found) else None
        return Verification("server_digest", digests.size, md5, etag_of(head) or etag_of(sent.answer))

    def _check_size(self, head: Answer, key: str, digests: Digests) -> None:
        if head["ContentLength"] != digests.size:
            raise IntegrityError("the object has %d bytes, not %d" % (head["ContentLength"], digests.size), self._location(key))

    def _verify(self, name: str, digests: Digests, level: str) -> Verification:
        head = self.bucket.head(name, checksums=level != "size")
        if head is None:
            self.bucket.raise_reason(name)
            raise StoreUnavailableError("the server contradicts itself about whether the object exists", self._location(name))
        self._check_size(head, name, digests)
        etag = etag_of(head)
        md5 = self.bucket.md5_in_etag(head)
        checksum = head.get("ChecksumSHA256", "")
        if checksum and "-" not in checksum and head.get("ChecksumType") in (None, "FULL_OBJECT"):
            if checksum != to_base64(bytes.fromhex(digests.sha256)):
                raise IntegrityError("the SHA-256 that the server reports differs from the expected one", self._location(name))
            reached = "remote_hash"
        elif md5 is not None and md5 in (digests.md5, self._etags_of_parts.get(digests)):
            reached = "server_digest"
        elif md5 is not None and not number_of_parts(md5):
            # Different bytes, or an ETag that only looks like an MD5: read the object back to decide.
            return self._read_back(name, digests, etag)
        else:
            reached = "size"
        if not reaches(reached, level):
            return self._read_back(name, digests, etag)
        return Verification(reached, digests.size, digests.md5 if md5 == digests.md5 else None, etag)

    def _read_back(self, key: str, digests: Digests, etag: str) -> Verification:
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256()
        size = 0
        for piece in self.bucket.read(key):
            md5.update(piece)
            sha256.update(piece)
            size += len(piece)
        if Digests(size, md5.hexdigest(), sha256.hexdigest()) != digests:
            raise IntegrityError(
                "the object that was read back has %d bytes and the MD5 %s, not %d and %s"
                % (size, md5.hexdigest(), digests.size, digests.md5),
                self._location(key),
            )
        return Verification("read_back", size, md5.hexdigest(), etag)

    # -- get, list, delete, clean -------------------------------------------------------------------------------------

    def _get(self, name: str, start: int) -> Pieces:
        return self.bucket.read(name, start)

    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        below = {"Delimiter": "/"} if self.layout.is_flat else {}
        for one in self.bucket.pages("list_objects_v2", prefix, "Contents", **below):
            key = one["Key"][len(self.bucket.prefix) :]
            # For an empty folder, consoles create an object with a name that ends with '/'.
            if key and not key.endswith("/") and not key.rpartition("/")[2].startswith(TEMP_PREFIX):
                yield StoredObject(key, one["Size"], one["LastModified"].timestamp(), etag_of(one))

    def _folders(self) -> t.Iterator[str]:
        for one in self.bucket.pages("list_objects_v2", "", "CommonPrefixes", Delimiter="/"):
            yield one["Prefix"][len(self.bucket.prefix) : -1]

    def _delete(self, names: t.Sequence[str], outcome: Outcome) -> None:
        once = list(dict.fromkeys(names))
        if self._delete_versions:
            s3_versions.delete_versions(self.bucket, once, outcome)
        else:
            s3_versions.delete(self.bucket, once, outcome, self.hidden)

    def keeps_versions(self) -> bool:
        return not self._delete_versions and self._retrying(lambda: s3_versions.keeps_versions(self.bucket))

    def _clean(self, prefix: str) -> t.List[str]:
        removed = []
        for one in list(self.bucket.pages("list_multipart_uploads", prefix, "Uploads")):
            # Some servers ignore the prefix; uploads elsewhere are not ours.
            if not one["Key"].startswith(self.bucket.prefix + prefix):
                continue
            key = one["Key"][len(self.bucket.prefix) :]
            if not self.layout.is_archive(key):
                continue
            try:
                self.bucket.call_on("abort_multipart_upload", key, UploadId=one["UploadId"])
            except (NoSuchUploadError, StoreNotFoundError):
                continue
            removed.append(key)
        return removed
