# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deletion in an S3 bucket, with versions or without.

In a bucket with versions a plain deletion only hides an object behind a delete marker: its bytes stay, and cost, until the version itself
is deleted. https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
"""

from __future__ import annotations

import collections
import os
import typing as t

from ..base.errors import StoreError, StoreUnavailableError
from .layout import FLAT_SEPARATOR
from .s3_errors import AccessDeniedError, NotImplementedByServerError

if t.TYPE_CHECKING:
    from .base import Outcome
    from .s3_requests import Answer, Bucket

DELETE_BATCH = 1000
"""Keys in one DeleteObjects request, by S3's limit."""

_RIGHTS = "pruning needs the right s3:DeleteObject, and s3:DeleteObjectVersion with 'versions: delete'; or set append_only for the store"


_LOCKED = "Object Lock protects it; it can be removed after its time"
_LOCK_WORDS = ("object lock", "worm protected", "retention", "legal hold")
"""What servers write in the message of such a refusal. AWS has no code for it."""


def delete(bucket: Bucket, keys: t.Sequence[str], outcome: Outcome, hidden: t.Set[str]) -> None:
    """Delete the newest version of each key; add results to ``outcome``, and to ``hidden`` the keys of which the server keeps versions."""
    keeps = keeps_versions(bucket)
    for start in range(0, len(keys), DELETE_BATCH):
        batch = keys[start : start + DELETE_BATCH]
        results, markers = _request(bucket, [{"Key": bucket.prefix + key} for key in batch])
        outcome.update(zip(batch, results))
        hidden.update(key for key, why in zip(batch, results) if why is None and (keeps or bucket.prefix + key in markers))


def delete_versions(bucket: Bucket, keys: t.Sequence[str], outcome: Outcome) -> None:
    """Delete all versions and delete markers of each key; add results to ``outcome``."""
    by_folder: t.Dict[str, t.List[str]] = {}
    for key in keys:
        # In a flat layout the names of a day begin alike, as in a tree those of a folder do.
        by_folder.setdefault(key[: max(key.rfind("/"), key.rfind(FLAT_SEPARATOR)) + 1], []).append(key)
    for members in by_folder.values():
        wanted = {bucket.prefix + key for key in members}
        try:
            listed = bucket.pages("list_object_versions", os.path.commonprefix(members), "Versions", "DeleteMarkers")
            found = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed if one["Key"] in wanted]
        except NotImplementedByServerError:
            # A server without versions.
            delete(bucket, members, outcome, set())
            continue
        failed: t.Dict[str, str] = {}
        for start in range(0, len(found), DELETE_BATCH):
            batch = found[start : start + DELETE_BATCH]
            results, _markers = _request(bucket, batch)
            failed.update({one["Key"]: why for one, why in zip(batch, results) if why is not None})
        outcome.update({key: failed.get(bucket.prefix + key) for key in members})


def keeps_versions(bucket: Bucket) -> bool:
    """Whether a plain deletion leaves versions in the bucket; False if the server does not report it."""
    try:
        return bucket.call("get_bucket_versioning").get("Status") in ("Enabled", "Suspended")
    except StoreUnavailableError:
        raise
    except StoreError:
        # Not every account may ask, and not every server has versions.
        return False


def _request(bucket: Bucket, objects: t.Sequence[t.Dict[str, str]]) -> t.Tuple[t.List[t.Optional[str]], t.Set[str]]:
    """(the result of each object, keys with a new delete marker) of one DeleteObjects request.

    An object is gone only if the server confirms it: an answer about something else confirms nothing.
    """
    try:
        answer = bucket.call("delete_objects", Delete={"Objects": list(objects)})
    except AccessDeniedError as error:
        raise AccessDeniedError(error.message, error.subject, _RIGHTS[:1].upper() + _RIGHTS[1:]) from error
    versions = any("VersionId" in one for one in objects)
    refused = {_identity(one): _refusal(one, versions) for one in answer.get("Errors", [])}
    # Not every server repeats the version: then each version of a key needs an entry.
    confirmed = collections.Counter(map(_identity, answer.get("Deleted", [])))
    asked = collections.Counter(one["Key"] for one in objects)
    results: t.List[t.Optional[str]] = []
    for one in objects:
        exact, loose = _identity(one), (one["Key"], None)
        if exact in refused or loose in refused:
            results.append(refused.get(exact, refused.get(loose)))
        elif confirmed[exact] or confirmed[loose] >= asked[one["Key"]]:
            results.append(None)
        else:
            results.append("the server did not confirm it")
    return results, {one["Key"] for one in answer.get("Deleted", []) if one.get("DeleteMarker") and "Key" in one}


def _identity(one: t.Mapping[str, t.Any]) -> t.Tuple[t.Optional[str], t.Optional[str]]:
    return one.get("Key"), one.get("VersionId")


def _refusal(error: Answer, version: bool) -> t.Optional[str]:
    """Why an object was not deleted; None if it did not exist. version: a version of it was to be deleted."""
    code = error.get("Code")
    if code in ("NoSuchKey", "NoSuchVersion"):
        return None
    text = "%s: %s" % (code, error.get("Message"))
    if code not in ("AccessDenied", "InvalidRequest", "ObjectLocked"):
        return text
    if code == "ObjectLocked" or any(word in text.lower() for word in _LOCK_WORDS):
        return "%s (%s)" % (text, _LOCKED)
    if code != "AccessDenied":
        return text
    # Some servers deny what is locked without a word about it.
    return "%s (%s%s)" % (text, _RIGHTS, "; or Object Lock protects the version" if version else "")
