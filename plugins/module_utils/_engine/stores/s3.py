# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in an S3 bucket (AWS and compatible servers), over boto3.

Every request that carries bytes of an archive carries their Content-MD5, which S3 servers check before they acknowledge. On top of
that the ETag is compared, where it is an MD5: of the object, or ``md5(md5 of each part)-N`` for one sent in N parts. Where the server
encrypts with KMS or a key of the customer, or makes up its ETags, the accepted digests of the requests are the proof.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
import typing as t

from ..base.errors import (
    ConfigError,
    IntegrityError,
    LogArchiveError,
    MissingLibraryError,
    StoreExistsError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from .base import TEMP_PREFIX, Digests, Progress, PutResult, Store, StoredObject, Verification, reaches
from .s3_errors import AccessDeniedError, BadDigestError, NoSuchUploadError, NotImplementedByServerError, from_botocore

MIB = 1024 * 1024
MIN_PART_SIZE = 5 * MIB
"""What S3 allows for every part but the last."""
MAX_PARTS = 10000
DELETE_BATCH = 1000
UPLOADS = 4
"""Parts that travel at the same time."""
READ_SIZE = 256 * 1024


class _Part(t.NamedTuple):
    number: int
    start: int
    size: int
    md5: bytes
    sha256: bytes


class _Sent(t.NamedTuple):
    """The server's answer to the request that made an object, and what its ETag and its SHA-256 must be, where it tells them."""

    answer: t.Dict[str, t.Any]
    etag: str
    sha256: str


class _Upload:
    """A multipart upload that has begun; ``done`` holds what the server answered for a part, by the part."""

    def __init__(self, key: str, upload_id: str, digests: Digests) -> None:
        self.key = key
        self.upload_id = upload_id
        self.digests = digests
        self.done: t.Dict[_Part, t.Dict[str, t.Any]] = {}


class _Slice:
    """A piece of a file as the body of a request: read by position, so that many share one descriptor, and never held in memory."""

    def __init__(self, descriptor: int, start: int, size: int, progress: Progress) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0
        self._progress = progress
        self._reported = 0
        self.sending = False

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, count: t.Optional[int] = -1) -> bytes:
        left = self._size - self._at
        # botocore reads a body in MiB to sign it: fewer bytes at a time keep four threads small.
        wanted = left if count is None or count < 0 else min(count, left, READ_SIZE)
        if wanted <= 0:
            return b""
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        if not data:
            raise IntegrityError("the file became shorter while it was sent")
        self._at += len(data)
        # The body is also read to sign it, and again after a redirect: only what goes out for the first time is progress.
        if self.sending and self._at > self._reported:
            self._progress(self._at - self._reported)
            self._reported = self._at
        return data


class S3Store(Store):
    """Archives as objects ``<prefix>/<key>`` of a bucket.

    bucket: must exist. prefix: what all keys begin with; a '/' is put behind it. endpoint_url: an S3-compatible server, AWS by
    default. access_key_id, secret_access_key, session_token, or profile: without them boto3's standard chain. addressing_style:
    auto, path, virtual. checksum_calculation: with when_supported a SHA-256 goes with each request beside the Content-MD5; with
    when_required it does not, which every server accepts. sse: None, AES256, aws:kms (then sse_kms_key_id, or the bucket's own).
    part_size: bytes; a larger file is sent in parts of this size. ca_bundle: path of CA certificates to trust. timeout: seconds
    that the server may be silent.

    boto3 itself makes each request once: retries are those of ``Store`` alone, and a retried put sends only the parts that are missing.
    """

    type = "s3"

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: t.Optional[str] = None,
        region: t.Optional[str] = None,
        access_key_id: t.Optional[str] = None,
        secret_access_key: t.Optional[str] = None,
        session_token: t.Optional[str] = None,
        profile: t.Optional[str] = None,
        addressing_style: str = "auto",
        checksum_calculation: str = "when_required",
        sse: t.Optional[str] = None,
        sse_kms_key_id: t.Optional[str] = None,
        storage_class: t.Optional[str] = None,
        part_size: int = 16 * MIB,
        ca_bundle: t.Optional[str] = None,
        timeout: float = 60.0,
        verify_level: str = "server_digest",
        attempts: int = 4,
        retry_delay: float = 1.0,
        name: str = "s3",
    ) -> None:
        super().__init__(name, verify_level, attempts, retry_delay)
        if part_size < MIN_PART_SIZE:
            raise ConfigError("part_size must be at least %d bytes (5 MiB)" % MIN_PART_SIZE, name)
        if bool(access_key_id) != bool(secret_access_key):
            raise ConfigError("access_key_id and secret_access_key need each other", name)
        if endpoint_url is not None and not re.match(r"https?://[^/@?\s]+/?[^@?\s]*$", endpoint_url):
            raise ConfigError("endpoint_url must be http(s)://host[:port], without credentials", name)
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self.endpoint_url = endpoint_url
        self.region = region
        self.profile = profile
        self.addressing_style = addressing_style
        self.checksum_calculation = checksum_calculation
        self.storage_class = storage_class
        self.part_size = part_size
        self.ca_bundle = ca_bundle
        self.timeout = timeout
        self.sse = sse
        self.sse_kms_key_id = sse_kms_key_id
        self._credentials = {
            "aws_access_key_id": access_key_id,
            "aws_secret_access_key": secret_access_key,
            "aws_session_token": session_token,
        }
        self._client: t.Any = None
        self._if_none_match = True
        self._upload: t.Optional[_Upload] = None
        self._etags_of_parts: t.Dict[Digests, str] = {}

    def location(self, key: str = "") -> str:
        return "s3://%s/%s%s" % (self.bucket, self.prefix, key)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _reset(self) -> None:
        self.close()

    # -- one request ----------------------------------------------------------------------------------------------------

    def _connect(self) -> t.Any:
        if self._client is not None:
            return self._client
        try:
            import boto3.session
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise MissingLibraryError("boto3", "S3 stores") from error
        options = {
            "s3": {"addressing_style": self.addressing_style},
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": self.timeout,
            "read_timeout": self.timeout,
        }
        # Releases before 1.36 do not know these two, and do what when_required says.
        for option in ("request_checksum_calculation", "response_checksum_validation"):
            if option in botocore.config.Config.OPTION_DEFAULTS:
                options[option] = "when_required"
        try:
            session = boto3.session.Session(profile_name=self.profile, region_name=self.region, **self._credentials)
            client = session.client("s3", endpoint_url=self.endpoint_url, verify=self.ca_bundle, config=botocore.config.Config(**options))
        except botocore.exceptions.BotoCoreError as error:
            raise from_botocore(error, self.location(), self.region) from error
        except ValueError as error:
            raise ConfigError(str(error), self.location(), "Check endpoint_url and region") from error
        # Headers are set here and not as parameters, because older releases of botocore do not know these parameters.
        for operation in ("PutObject", "CompleteMultipartUpload"):
            client.meta.events.register("before-call.s3.%s" % operation, self._never_overwrite)
        client.meta.events.register("before-call.s3.DeleteObjects", _content_md5)
        client.meta.events.register("before-send.s3", _count_from_here)
        self._client = client
        return client

    def _never_overwrite(self, params: t.Dict[str, t.Any], **_others: t.Any) -> None:
        if self._if_none_match:
            params["headers"]["If-None-Match"] = "*"

    def _call(self, operation: str, key: str = "", **params: t.Any) -> t.Dict[str, t.Any]:
        client = self._connect()
        import botocore.exceptions
        import botocore.parsers

        try:
            return t.cast(t.Dict[str, t.Any], getattr(client, operation)(Bucket=self.bucket, **params))
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, botocore.parsers.ResponseParserError) as error:
            raise from_botocore(error, self.location(key), client.meta.region_name) from error

    def _call_without_overwriting(self, operation: str, key: str, **params: t.Any) -> t.Dict[str, t.Any]:
        """PutObject or CompleteMultipartUpload with If-None-Match, or with a look before it where the server does not have that."""
        if self._if_none_match:
            try:
                return self._call(operation, key, Key=self.prefix + key, **params)
            except NotImplementedByServerError:
                self._if_none_match = False
        try:
            if self._head(key) is not None:
                raise StoreExistsError("an object already stands there", self.location(key))
            if "Body" in params:
                params["Body"].seek(0)
            return self._call(operation, key, Key=self.prefix + key, **params)
        except NotImplementedByServerError:
            # It was not for that header.
            self._if_none_match = True
            raise

    def _head(self, key: str, checksums: bool = False) -> t.Optional[t.Dict[str, t.Any]]:
        """What the server tells of an object; None where there is none."""
        params = {"ChecksumMode": "ENABLED"} if checksums else {}
        try:
            return self._call("head_object", key, Key=self.prefix + key, **params)
        except StoreNotFoundError:
            return None
        except AccessDeniedError:
            self._ask_reason(key)
            raise

    def _ask_reason(self, key: str) -> None:
        """Raise the error that a GET of one byte meets: the answer to a HEAD has no body, and so tells no reason."""
        self._call("get_object", key, Key=self.prefix + key, Range="bytes=0-0")["Body"].close()

    # -- put ------------------------------------------------------------------------------------------------------------

    def put(self, path: str, key: str, digests: Digests, progress: t.Optional[Progress] = None) -> PutResult:
        try:
            return super().put(path, key, digests, progress)
        finally:
            self._abandon_upload()

    def _put(self, path: str, key: str, digests: Digests, progress: Progress) -> Verification:
        lock = threading.Lock()

        def moved(count: int) -> None:
            with lock:
                progress(count)

        self._connect()
        with open(path, "rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size != digests.size:
                raise IntegrityError("the file is not what was packed: its size differs", path)
            self._refuse_taken(stream.fileno(), path, key, digests)
            if digests.size <= self.part_size:
                sent = self._put_whole(stream.fileno(), path, key, digests, moved)
            else:
                sent = self._put_parts(stream.fileno(), path, key, digests, moved)
        try:
            return self._prove(key, digests, sent)
        except IntegrityError as error:
            raise IntegrityError(error.message, error.subject, self._remove_damaged(key, digests, sent, error.hint)) from error

    def _refuse_taken(self, descriptor: int, path: str, key: str, digests: Digests) -> None:
        try:
            found = self._head(key)
        except AccessDeniedError:
            # Without the right to list, AWS does not say that an object is not there. The put itself is guarded, and will tell.
            if not self._if_none_match:
                raise
            return
        if found is None:
            return
        etag = _etag(found)
        parts = _number_of_parts(etag)
        if parts and found["ContentLength"] == digests.size and parts == -(-digests.size // self._size_of_parts(digests.size)):
            # Perhaps sent by us, in a run that was killed. The file at hand tells what its ETag must be, without reading it back.
            self._etags_of_parts[digests] = _etag_of_parts(list(self._parts(descriptor, path, digests)))
        raise StoreExistsError("an object already stands there", self.location(key))

    def _object_options(self) -> t.Dict[str, str]:
        options = {"ServerSideEncryption": self.sse, "SSEKMSKeyId": self.sse_kms_key_id, "StorageClass": self.storage_class}
        return {option: value for option, value in options.items() if value}

    def _checksum(self, sha256: bytes) -> t.Dict[str, str]:
        return {"ChecksumSHA256": _base64(sha256)} if self.checksum_calculation == "when_supported" else {}

    def _put_whole(self, descriptor: int, path: str, key: str, digests: Digests, progress: Progress) -> _Sent:
        try:
            answer = self._call_without_overwriting(
                "put_object",
                key,
                Body=_Slice(descriptor, 0, digests.size, progress),
                ContentMD5=_base64(bytes.fromhex(digests.md5)),
                **self._checksum(bytes.fromhex(digests.sha256)),
                **self._object_options(),
            )
        except BadDigestError:
            # Damaged on the way, or already on our disk? Reading the parts checks the file.
            for _part in self._parts(descriptor, path, digests):
                pass
            raise
        return _Sent(answer, digests.md5, _base64(bytes.fromhex(digests.sha256)))

    def _size_of_parts(self, size: int) -> int:
        return max(self.part_size, -(-size // MAX_PARTS))

    def _parts(self, descriptor: int, path: str, digests: Digests) -> t.Iterator[_Part]:
        """Each part with its digests, read once and in order; IntegrityError at the end where the file is not what was packed."""
        with_sha256 = self.checksum_calculation == "when_supported"
        part_size = self._size_of_parts(digests.size)
        whole = hashlib.sha256()
        buffer = memoryview(bytearray(READ_SIZE))
        for number, start in enumerate(range(0, digests.size, part_size), 1):
            size = min(part_size, digests.size - start)
            md5 = hashlib.md5(usedforsecurity=False)
            sha256 = hashlib.sha256()
            at = start
            while at < start + size:
                count = os.preadv(descriptor, [buffer[: min(READ_SIZE, start + size - at)]], at)
                if not count:
                    raise IntegrityError("the file became shorter while it was read", path)
                md5.update(buffer[:count])
                whole.update(buffer[:count])
                if with_sha256:
                    sha256.update(buffer[:count])
                at += count
            yield _Part(number, start, size, md5.digest(), sha256.digest())
        if whole.hexdigest() != digests.sha256:
            raise IntegrityError("the file is not what was packed: its SHA-256 differs", path, "Nothing was stored; pack it again")

    def _put_parts(self, descriptor: int, path: str, key: str, digests: Digests, progress: Progress) -> _Sent:
        upload = self._upload
        if upload is None or (upload.key, upload.digests) != (key, digests):
            self._abandon_upload()
            options = self._object_options()
            if self.checksum_calculation == "when_supported":
                options["ChecksumAlgorithm"] = "SHA256"
            answer = self._call("create_multipart_upload", key, Key=self.prefix + key, **options)
            upload = self._upload = _Upload(key, answer["UploadId"], digests)
        try:
            parts = self._send_parts(descriptor, path, upload, progress)
            listed = [dict(PartNumber=part.number, ETag=upload.done[part]["ETag"], **self._checksum(part.sha256)) for part in parts]
            answer = self._call_without_overwriting(
                "complete_multipart_upload", key, UploadId=upload.upload_id, MultipartUpload={"Parts": listed}
            )
        except NoSuchUploadError:
            self._upload = None
            raise
        self._upload = None
        etag = self._etags_of_parts[digests] = _etag_of_parts(parts)
        sha256 = hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()
        return _Sent(answer, etag, "%s-%d" % (_base64(sha256), len(parts)))

    def _send_parts(self, descriptor: int, path: str, upload: _Upload, progress: Progress) -> t.List[_Part]:
        """Send what the server does not have yet; the next part is read and hashed while others travel."""
        from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

        parts = []
        travelling: t.Set[Future[None]] = set()
        with ThreadPoolExecutor(UPLOADS, "s3-part") as pool:
            for part in self._parts(descriptor, path, upload.digests):
                parts.append(part)
                if part in upload.done:
                    progress(part.size)
                    continue
                travelling.add(pool.submit(self._send_part, descriptor, upload, part, progress))
                if len(travelling) > UPLOADS:
                    arrived, travelling = wait(travelling, return_when=FIRST_COMPLETED)
                    for one in arrived:
                        one.result()
            for one in travelling:
                one.result()
        return parts

    def _send_part(self, descriptor: int, upload: _Upload, part: _Part, progress: Progress) -> None:
        answer = self._call(
            "upload_part",
            upload.key,
            Key=self.prefix + upload.key,
            UploadId=upload.upload_id,
            PartNumber=part.number,
            Body=_Slice(descriptor, part.start, part.size, progress),
            ContentMD5=_base64(part.md5),
            **self._checksum(part.sha256),
        )
        if self._md5_of(answer) not in (None, part.md5.hex()):
            raise IntegrityError(
                "the server accepted part %d with MD5 %s and then told the ETag %s" % (part.number, part.md5.hex(), _etag(answer)),
                self.location(upload.key),
                ETAG_HINT,
            )
        upload.done[part] = answer

    def _abandon_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            self._call("abort_multipart_upload", upload.key, Key=self.prefix + upload.key, UploadId=upload.upload_id)
        except LogArchiveError:
            # The error that made us give up is under way and tells more; what could not be aborted now, ``clean`` finds later.
            pass

    def _remove_damaged(self, key: str, digests: Digests, sent: _Sent, hint: t.Optional[str]) -> str:
        """Remove what the put made and say so; StoreExistsError where another writer's object stands there by now.

        Not every server checks If-None-Match and stores in one step, so two writers can both be told that they were first.
        """
        version = {"VersionId": sent.answer["VersionId"]} if sent.answer.get("VersionId") else {}
        try:
            head = self._head(key)
            if head is not None and not version and _etag(head) not in (_etag(sent.answer), sent.etag, digests.md5):
                raise StoreExistsError("another writer's object stands there", self.location(key))
            self._call("delete_object", key, Key=self.prefix + key, **version)
        except StoreExistsError:
            raise
        except LogArchiveError as error:
            return "It could not be removed again (%s): remove it yourself" % error.message
        return "It was removed again%s" % ("" if hint is None else ". " + hint)

    # -- proof ----------------------------------------------------------------------------------------------------------

    def _md5_of(self, answer: t.Dict[str, t.Any]) -> t.Optional[str]:
        """The ETag of an answer if it is the MD5 of the bytes or of the parts' MD5s; None where it is known not to be, or is missing.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ETag.
        """
        encryption = answer.get("ServerSideEncryption") or self.sse or ""
        if encryption.startswith("aws:kms") or answer.get("SSECustomerAlgorithm"):
            return None
        etag = _etag(answer)
        return etag if re.match(r"[0-9a-f]{32}(-[0-9]+)?$", etag) else None

    def _prove(self, key: str, digests: Digests, sent: _Sent) -> Verification:
        """What the put just done proves; IntegrityError where the server tells of other bytes."""
        head = self._head(key)
        if head is None:
            raise StoreUnavailableError("the object that was just stored is not there", self.location(key))
        self._check_size(head, key, digests)
        right = (sent.etag, digests.md5)
        # What is told of parts can be compared if it has their number; some servers make up other ETags for them.
        told, stands = (
            etag if etag in right or sent.etag == digests.md5 or _number_of_parts(etag or "") else None
            for etag in (self._md5_of(sent.answer), self._md5_of(head))
        )
        if told not in (None, *right) or (told is None and stands not in (None, *right)):
            raise IntegrityError(
                "the server tells the ETag %s, and the bytes sent have %s" % (told or stands, sent.etag), self.location(key), ETAG_HINT
            )
        # With its kind: of the whole, or (with '-N') of the parts'. A server may tell the other kind, which cannot be compared here.
        sha256 = sent.answer.get("ChecksumSHA256") or sent.sha256
        if sha256 != sent.sha256 and ("-" in sha256) == ("-" in sent.sha256):
            raise IntegrityError("the server tells another SHA-256 than was sent", self.location(key))
        if self._md5_of(head) not in (None, *right) and told is not None:
            # The bytes were taken, and then another ETag is told: by a proxy that makes up its own, or another writer came after us.
            return self._read_back(key, digests, _etag(head))
        if not reaches("server_digest", self.verify_level):
            return self._verify(key, digests, self.verify_level)
        md5 = digests.md5 if digests.md5 in (told, stands) else None
        return Verification("server_digest", digests.size, md5, _etag(head) or _etag(sent.answer))

    def _check_size(self, head: t.Dict[str, t.Any], key: str, digests: Digests) -> None:
        if head["ContentLength"] != digests.size:
            raise IntegrityError("the object has %d bytes, and %d are expected" % (head["ContentLength"], digests.size), self.location(key))

    def _verify(self, key: str, digests: Digests, level: str) -> Verification:
        head = self._head(key, checksums=level != "size")
        if head is None:
            self._ask_reason(key)
            raise StoreUnavailableError("the server says both that the object exists and that it does not", self.location(key))
        self._check_size(head, key, digests)
        etag = _etag(head)
        told = self._md5_of(head)
        checksum = head.get("ChecksumSHA256", "")
        if checksum and "-" not in checksum and head.get("ChecksumType") in (None, "FULL_OBJECT"):
            if checksum != _base64(bytes.fromhex(digests.sha256)):
                raise IntegrityError("the server tells another SHA-256 than is expected", self.location(key))
            reached = "remote_hash"
        elif told is not None and told in (digests.md5, self._etags_of_parts.get(digests)):
            reached = "server_digest"
        elif told is not None and not _number_of_parts(told):
            # Other bytes, or an ETag that only looks like an MD5: the bytes themselves decide.
            return self._read_back(key, digests, etag)
        else:
            reached = "size"
        if not reaches(reached, level):
            return self._read_back(key, digests, etag)
        return Verification(reached, digests.size, digests.md5 if told == digests.md5 else None, etag)

    def _read_back(self, key: str, digests: Digests, etag: str) -> Verification:
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256()
        size = 0
        for piece in self._pieces(key):
            md5.update(piece)
            sha256.update(piece)
            size += len(piece)
        if Digests(size, md5.hexdigest(), sha256.hexdigest()) != digests:
            raise IntegrityError(
                "read back, the object has %d bytes with MD5 %s; expected are %d with %s"
                % (size, md5.hexdigest(), digests.size, digests.md5),
                self.location(key),
            )
        return Verification("read_back", size, md5.hexdigest(), etag)

    # -- the rest -------------------------------------------------------------------------------------------------------

    def _pieces(self, key: str) -> t.Iterator[bytes]:
        """The object's bytes; StoreUnavailableError where fewer come than were announced."""
        answer = self._call("get_object", key, Key=self.prefix + key)
        import botocore.exceptions
        import urllib3.exceptions

        size = 0
        try:
            while True:
                try:
                    piece = answer["Body"].read(READ_SIZE)
                except botocore.exceptions.BotoCoreError as error:
                    raise from_botocore(error, self.location(key)) from error
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise StoreUnavailableError("the connection broke: %s" % error, self.location(key)) from error
                if not piece:
                    break
                size += len(piece)
                yield piece
        finally:
            answer["Body"].close()
        if size != answer["ContentLength"]:
            raise StoreUnavailableError("only %d of %d bytes came" % (size, answer["ContentLength"]), self.location(key))

    def _get(self, key: str, sink: t.BinaryIO, progress: Progress) -> None:
        for piece in self._pieces(key):
            sink.write(piece)
            progress(len(piece))

    def _list(self, prefix: str) -> t.List[StoredObject]:
        found = []
        for one in self._pages("list_objects_v2", prefix, "Contents"):
            key = one["Key"][len(self.prefix) :]
            # A key that ends with '/' is what consoles make for an empty folder.
            if key and not key.endswith("/") and not key.rpartition("/")[2].startswith(TEMP_PREFIX):
                found.append(StoredObject(key, one["Size"], one["LastModified"].timestamp(), _etag(one)))
        return sorted(found)

    def _pages(self, operation: str, prefix: str, member: str) -> t.Iterator[t.Dict[str, t.Any]]:
        client = self._connect()
        import botocore.exceptions
        import botocore.parsers

        try:
            for page in client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                yield from page.get(member, [])
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, botocore.parsers.ResponseParserError) as error:
            raise from_botocore(error, self.location(prefix), client.meta.region_name) from error

    def _delete(self, keys: t.Sequence[str]) -> t.Dict[str, t.Optional[str]]:
        outcome: t.Dict[str, t.Optional[str]] = dict.fromkeys(keys)
        names = list(outcome)
        for start in range(0, len(names), DELETE_BATCH):
            batch = [{"Key": self.prefix + key} for key in names[start : start + DELETE_BATCH]]
            answer = self._call("delete_objects", Delete={"Objects": batch, "Quiet": True})
            for error in answer.get("Errors", []):
                if error.get("Code") != "NoSuchKey":
                    outcome[error["Key"][len(self.prefix) :]] = "%s: %s" % (error.get("Code"), error.get("Message"))
        return outcome

    def _clean(self, prefix: str) -> t.List[str]:
        removed = []
        for one in list(self._pages("list_multipart_uploads", prefix, "Uploads")):
            # Some servers ignore the prefix, and what lies elsewhere is not ours.
            if not one["Key"].startswith(self.prefix + prefix):
                continue
            key = one["Key"][len(self.prefix) :]
            try:
                self._call("abort_multipart_upload", key, Key=one["Key"], UploadId=one["UploadId"])
            except (NoSuchUploadError, StoreNotFoundError):
                continue
            removed.append(key)
        return removed


ETAG_HINT = "If the server encrypts with KMS without saying so, set sse to aws:kms"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _etag(answer: t.Dict[str, t.Any]) -> str:
    return (answer.get("ETag") or "").strip('"')


def _number_of_parts(etag: str) -> int:
    """The N of an ETag ``...-N``; 0 for one without."""
    number = etag.rpartition("-")[2] if "-" in etag else ""
    return int(number) if number.isdigit() else 0


def _etag_of_parts(parts: t.Sequence[_Part]) -> str:
    return "%s-%d" % (hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest(), len(parts))


def _content_md5(params: t.Dict[str, t.Any], **_others: t.Any) -> None:
    """Send DeleteObjects with Content-MD5, which every server takes and older ones demand, in place of botocore's CRC32."""
    params["headers"]["Content-MD5"] = _base64(hashlib.md5(params["body"], usedforsecurity=False).digest())
    params["context"].pop("checksum", None)


def _count_from_here(request: t.Any, **_others: t.Any) -> None:
    if isinstance(request.body, _Slice):
        request.body.sending = True
