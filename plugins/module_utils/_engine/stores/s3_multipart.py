# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Multipart uploads: a large file in parts, several at the same time, each with its MD5. A retry sends only the missing ones."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import typing as t

from ..base.ahead import ahead
from ..base.errors import IntegrityError, LogArchiveError, StoreError, StoreUnavailableError
from ..base.progress import Advance
from .base import Digests, unreadable
from .s3_errors import NoSuchUploadError
from .s3_requests import Answer, Bucket, LocalFile, etag_of, to_base64

MIN_PART_SIZE = 5 * 1024 * 1024
"""What S3 allows for every part but the last."""
MAX_PARTS = 10000
PARALLEL_PARTS = 4

_HASHED = 4 << 20
"""Bytes that are hashed at once. While another thread loads a library, a thread that hashes waits for Python's lock after each call."""

ETAG_HINT = "If the server encrypts with KMS without reporting it, set sse to aws:kms"


class Part(t.NamedTuple):
    """One part of a file. number: from 1; start and size: in bytes; md5 and sha256: digests, the latter of b'' if it is not needed."""

    number: int
    start: int
    size: int
    md5: bytes
    sha256: bytes


class SentObject(t.NamedTuple):
    """The server's answer to the request that made an object, and the ETag and SHA-256 (base64) that the object must have."""

    answer: Answer
    etag: str
    sha256: str


class LeftUpload(t.NamedTuple):
    """An upload that an earlier run left on the server: its id, and what the server holds of it by the number of the part."""

    id: str
    parts: t.Dict[int, Answer]

    def holds(self, part: Part) -> bool:
        """Whether the server holds these bytes as this part."""
        held = self.parts.get(part.number, {})
        return held.get("Size") == part.size and etag_of(held) == part.md5.hex()


class MultipartUpload:
    """An upload that has begun. id: the server's name for it; done: the server's answer for each part that arrived."""

    def __init__(self, bucket: Bucket, key: str, digests: Digests, left: t.Optional[LeftUpload] = None) -> None:
        parameters = bucket.new_object_parameters()
        if bucket.sends_sha256:
            parameters["ChecksumAlgorithm"] = "SHA256"
        self.key = key
        self.digests = digests
        self.done: t.Dict[Part, Answer] = {}
        self._bucket = bucket
        self._left = left
        self.id = left.id if left is not None else bucket.call_on("create_multipart_upload", key, **parameters)["UploadId"]

    def send(self, file: LocalFile, hashed: t.Iterator[Part], progress: Advance) -> SentObject:
        """Send the parts that the server does not have yet and combine them to the object.

        Raises NoSuchUploadError if the server forgot the upload; any other retryable error leaves it to be continued.
        """
        before = len(self.done)
        try:
            parts = self._send_parts(file, hashed, progress)
        except StoreUnavailableError as error:
            error.advanced = len(self.done) > before
            raise
        listed = [
            dict(PartNumber=part.number, ETag=self.done[part]["ETag"], **self._bucket.checksum_parameters(part.sha256)) for part in parts
        ]
        answer = self._bucket.write_new("complete_multipart_upload", self.key, UploadId=self.id, MultipartUpload={"Parts": listed})
        sha256 = hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()
        return SentObject(answer, etag_of_parts(parts), "%s-%d" % (to_base64(sha256), len(parts)))

    def abort(self) -> None:
        """Let the server forget the upload, if it can be reached."""
        try:
            self._bucket.call_on("abort_multipart_upload", self.key, UploadId=self.id)
        except LogArchiveError:
            # The error that ended the upload matters more; ``clean`` finds the leftover later.
            pass

    def _send_parts(self, file: LocalFile, hashed: t.Iterator[Part], progress: Advance) -> t.List[Part]:
        """Send the missing parts, each as soon as it is hashed."""
        from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

        parts = []
        under_way: t.Set[Future[None]] = set()
        with ThreadPoolExecutor(PARALLEL_PARTS, "s3-part") as pool:
            for part in hashed:
                parts.append(part)
                if self._left is not None and self._left.holds(part):
                    self.done[part] = self._left.parts[part.number]
                if part in self.done:
                    progress(part.size)
                    continue
                under_way.add(pool.submit(self._send_part, file, part, progress))
                if len(under_way) > PARALLEL_PARTS:
                    arrived, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for one in arrived:
                        one.result()
            for one in under_way:
                one.result()
        return parts

    def _send_part(self, file: LocalFile, part: Part, progress: Advance) -> None:
        answer = self._bucket.call_on(
            "upload_part",
            self.key,
            UploadId=self.id,
            PartNumber=part.number,
            Body=self._bucket.body(file, part.start, part.size, progress),
            ContentMD5=to_base64(part.md5),
            **self._bucket.checksum_parameters(part.sha256),
        )
        if self._bucket.md5_in_etag(answer) not in (None, part.md5.hex()):
            raise IntegrityError(
                "the server accepted part %d with MD5 %s and then reported the ETag %s" % (part.number, part.md5.hex(), etag_of(answer)),
                self._bucket.location(self.key),
                ETAG_HINT,
            )
        self.done[part] = answer


class MultipartUploads:
    """The upload in progress, if any: kept for retries, aborted when another one starts or the put ends, or left for a later run.

    A new one is begun before it is known whether it is needed: an answer that must be waited for takes as long as one more part.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._current: t.Optional[MultipartUpload] = None
        # Keys with an upload that the server listed and does not have.
        self._forgotten: t.Set[str] = set()

    def send(self, file: LocalFile, key: str, part_size: int, check_key: t.Callable[[], None], progress: Advance) -> SentObject:
        """Send a file in parts; continues the upload of an earlier try or of an earlier run.

        check_key: called before any bytes are sent; raises StoreExistsError if the key is taken.
        """
        # Loading boto3, and waiting for the first answers, take as long as hashing a few parts.
        with ahead(read_parts(file, part_size, self._bucket.sends_sha256), 1) as hashed:
            self._bucket.connect()
            upload = self._current
            if upload is not None and (upload.key, upload.digests) != (key, file.digests):
                self.abort()
                upload = None
            if upload is not None and upload.done:
                check_key()
                return self._send(upload, file, hashed, progress)
            upload, left = self._begin(upload, key, file.digests, check_key)
            if left is not None:
                first = next(hashed)
                hashed = itertools.chain([first], hashed)
                # Another writer may be sending another archive under the same name: its upload is not touched.
                if left.holds(first):
                    self.abort()
                    upload = self._current = MultipartUpload(self._bucket, key, file.digests, left)
            return self._send(upload, file, hashed, progress)

    def _begin(
        self, begun: t.Optional[MultipartUpload], key: str, digests: Digests, check_key: t.Callable[[], None]
    ) -> t.Tuple[MultipartUpload, t.Optional[LeftUpload]]:
        """Begin an upload, unless a try before has ``begun`` one, and look for one that an earlier run left, while ``check_key`` waits."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2, "s3-begin") as others:
            listed = others.submit(self._list_left, key)
            new = others.submit(lambda: begun or MultipartUpload(self._bucket, key, digests))
            try:
                check_key()
            finally:
                # Whatever the other answers are, it is on the server: a retry takes it, or the end of the put aborts it.
                if new.exception() is None:
                    self._current = new.result()
        uploads, upload = listed.result(), new.result()
        return upload, self._held_of(key, [one for one in uploads if one["UploadId"] != upload.id])

    def _send(self, upload: MultipartUpload, file: LocalFile, hashed: t.Iterator[Part], progress: Advance) -> SentObject:
        try:
            sent = upload.send(file, hashed, progress)
        except NoSuchUploadError:
            self._current = None
            self._forgotten.add(upload.key)
            raise
        self._current = None
        return sent

    def leave(self) -> None:
        """Leave the upload in progress, if any, to be continued by a later run."""
        self._current = None

    def _list_left(self, key: str) -> t.List[Answer]:
        """The unfinished uploads of this key."""
        if key in self._forgotten:
            return []
        with _if_possible():
            return [one for one in self._bucket.pages("list_multipart_uploads", key, "Uploads") if one["Key"] == self._bucket.prefix + key]
        return []

    def _held_of(self, key: str, uploads: t.List[Answer]) -> t.Optional[LeftUpload]:
        """The newest of these uploads, with what the server holds of it."""
        if not uploads:
            return None
        newest = max(uploads, key=lambda one: str(one.get("Initiated")))["UploadId"]
        with _if_possible():
            return LeftUpload(newest, {part["PartNumber"]: part for part in _held_parts(self._bucket, key, newest)})
        return None

    def abort(self) -> None:
        """Abort the upload in progress, if any."""
        upload, self._current = self._current, None
        if upload is not None:
            upload.abort()


@contextlib.contextmanager
def _if_possible() -> t.Iterator[None]:
    """Not every account may list uploads, and not every server can."""
    try:
        yield
    except StoreUnavailableError:
        raise
    except StoreError:
        pass


def _held_parts(bucket: Bucket, key: str, upload_id: str) -> t.List[Answer]:
    """The parts of an unfinished upload that the server holds. Raises StoreError if it does not report them."""
    found: t.List[Answer] = []
    marker: t.Dict[str, int] = {}
    # Each page but the last has a thousand of at most ten thousand parts.
    for _page in range(20):
        page = bucket.call_on("list_parts", key, UploadId=upload_id, **marker)
        found += page.get("Parts", [])
        if not page.get("IsTruncated") or not page.get("NextPartNumberMarker"):
            break
        marker = {"PartNumberMarker": page["NextPartNumberMarker"]}
    return found


def size_of_parts(size: int, part_size: int) -> int:
    """The size of the parts of a file of ``size`` bytes: ``part_size``, or more if there would be too many."""
    return max(part_size, -(-size // MAX_PARTS))


def read_parts(file: LocalFile, part_size: int, with_sha256: bool) -> t.Iterator[Part]:
    """Each part with its digests, read once and in order; IntegrityError at the end if the file changed since it was packed."""
    descriptor, path, digests = file
    part_size = size_of_parts(digests.size, part_size)
    whole = hashlib.sha256()
    buffer = memoryview(bytearray(_HASHED))
    for number, start in enumerate(range(0, digests.size, part_size), 1):
        size = min(part_size, digests.size - start)
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256()
        at = start
        while at < start + size:
            try:
                count = os.preadv(descriptor, [buffer[: min(len(buffer), start + size - at)]], at)
            except OSError as error:
                raise unreadable(path, error) from error
            if not count:
                raise IntegrityError("the archive was truncated while it was read", path)
            md5.update(buffer[:count])
            whole.update(buffer[:count])
            if with_sha256:
                sha256.update(buffer[:count])
            at += count
        yield Part(number, start, size, md5.digest(), sha256.digest())
    if whole.hexdigest() != digests.sha256:
        raise IntegrityError(
            "the archive changed after it was packed: its SHA-256 differs", path, "Nothing was stored; archive the sources again"
        )


def etag_of_parts(parts: t.Sequence[Part]) -> str:
    """The ETag of an object that was sent in these parts."""
    return "%s-%d" % (hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest(), len(parts))
