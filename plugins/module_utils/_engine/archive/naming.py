# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of archives and manifests, and their keys in stores."""

from __future__ import annotations

import os

from ..base import hints as t
from ..base.errors import ConfigError
from ..base.light import datetime
from ..base.named_tuple import NamedTuple
from ..base.periods import Period, period_containing
from ..base.units import UTC

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from ..sources.base import Source
    from .facts import Manifest

MANIFEST_SUFFIX = ".manifest.json"
LONGEST_NAME = 180
"""Bytes of an archive's name without suffix: a file system's 255 less what suffix, manifest and temporary names add."""

SHORTEST_NAME = 40
"""Bytes that must be left for the name of an archive, so that a name that is cut still shows what it is."""

SAFE = b"+,-.=@_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_SUFFIX = r"\.tgz\.fernet|\.tgz|(?!.*\.tgz(?:\.fernet)?$)\.[A-Za-z0-9][A-Za-z0-9._-]{0,39}"

DEFAULT_TEMPLATES = {"file": "{stem}", "period": "{job}.%Y%m%dT%H%M", "run": "{job}.%Y%m%dT%H%M%S"}


class Group(NamedTuple):
    """Sources that become one archive, the period that they cover together, and the archive's name without suffix."""

    name: str
    period: Period
    sources: t.List[Source]

    @property
    def source_bytes(self) -> int:
        """The size of the sources together, in bytes, as they were selected."""
        return sum(source.size for source in self.sources)


def group(
    sources: t.Sequence[Source],
    by: str,
    template: t.Optional[str],
    unit: str,
    timezone: str,
    fields: t.Mapping[str, str],
    longest: int = LONGEST_NAME,
) -> t.List[Group]:
    """Divide sources into archives, in order of period and name.

    by: 'file' (one archive each), 'period' (one for all sources of a period) or 'run' (one for all). template: name of an archive; None
    is the grouping's own. unit: hour, day, week or month for the periods of the selection, in ``timezone``; 'none' leaves each source
    its own. fields: values of {host} and {job}. longest: bytes of a name.
    """
    from ..base.name_template import render_name

    batches: t.Dict[t.Any, t.List[Source]] = {}
    for source in sources:
        if by == "period":
            batch: t.Any = source.period if unit == "none" else period_containing(unit, source.period.start, timezone)
        else:
            batch = source.path if by == "file" else None
        batches.setdefault(batch, []).append(source)
    groups = []
    for batch in batches.values():
        period = Period(min(s.period.start for s in batch), max(s.period.end for s in batch))
        stem = os.path.basename(batch[0].path) if len(batch) == 1 else fields["job"]
        name = render_name(template or DEFAULT_TEMPLATES[by], period.start, timezone, dict(fields, stem=stem))
        groups.append(Group(safe_name(name, longest), period, batch))
    return sorted(groups, key=lambda group: (group.period.start, group.name, group.sources[0].path))


def safe_name(name: str, longest: int = LONGEST_NAME) -> str:
    """The name with everything but letters, digits and ``+,-.=@_~`` percent-encoded, so that it is one plain name in any store.

    A leading '.' is encoded too; a name of more than ``longest`` bytes is cut and ends with a digest of the whole.
    """
    quoted = "".join(chr(byte) if byte in SAFE else "%%%02X" % byte for byte in name.encode("utf-8", "surrogateescape"))
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > longest:
        import hashlib

        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        quoted = "%s~%s" % (quoted[: longest - 17], digest)
    return quoted


def longest_flat_name(host: str, job: str, suffix: str) -> int:
    """Bytes that a flat store leaves for the name of an archive without its suffix. Raises ConfigError if they are too few."""
    from ..stores.layout import FLAT_OVERHEAD, LONGEST_FLAT_NAME

    revision = len(".r999999999")
    taken = len(os.fsencode(host + job + suffix)) + FLAT_OVERHEAD + revision + len(MANIFEST_SUFFIX)
    longest = min(LONGEST_NAME, LONGEST_FLAT_NAME - taken)
    if longest < SHORTEST_NAME:
        raise ConfigError(
            "the names of the host and the job are %d bytes too long for a store with flat names" % (SHORTEST_NAME - longest),
            "%s, %s" % (host, job),
            "Shorten one of them, or use the layout tree",
        )
    return longest


def host_name(configured: t.Optional[str] = None) -> str:
    """The name under which stores hold this host's archives: the configured one, or the host's own."""
    # What socket.gethostname() returns, without the 3 ms that importing socket adds to an idle run.
    return configured or safe_name(os.uname().nodename)


def revised(key: str, suffix: str, revision: int) -> str:
    """The key (or name) of a later archive with the same name and other sources: 'syslog.tgz', 'syslog.r2.tgz', 'syslog.r3.tgz'."""
    if revision == 1:
        return key
    stem = key[: -len(suffix)] if key.endswith(suffix) else key
    return "%s.r%d%s" % (stem, revision, key[len(stem) :])


def unrevised(key: str) -> t.Tuple[str, int]:
    """What ``revised`` made this key from: the key of the first archive, and the revision.

    After a suffix of a user's choice the last '.r2' is taken for the revision.
    """
    import re

    found = re.fullmatch(r"(.+)\.r([2-9]|[1-9][0-9]{1,8})(%s|)" % _SUFFIX, key, re.DOTALL)
    return (found[1] + found[3], int(found[2])) if found else (key, 1)


def folder_key(host: str, job: str) -> str:
    """The prefix of the keys of a job's archives in a store: '<host>/<job>/'."""
    return "%s/%s/" % (host, job)


def names_of(document: JobDocument) -> t.List[str]:
    """The name of a job, and its earlier names: the archives that it owns are in the folders of all of them."""
    return [document["name"], *document["was"]]


def folder_keys(host: str, document: JobDocument) -> t.List[str]:
    """The prefixes of the keys of a job's archives in a store, under each of its names."""
    return [folder_key(host, name) for name in names_of(document)]


def archive_key(host: str, job: str, period: Period, name: str) -> str:
    """'<host>/<job>/<YYYY>/<MM>/<DD>/<archive>', by the UTC day on which the period starts."""
    day = period.start.astimezone(UTC)
    # Not strftime: its %Y has no leading zeros.
    return "%s%04d/%02d/%02d/%s" % (folder_key(host, job), day.year, day.month, day.day, name)


def day_of(key: str) -> t.Optional[Period]:
    """The UTC day on which the period of an archive starts, by its key; None if the key does not have it."""
    import re

    found = re.search(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/[^/]+$", key, re.ASCII)
    try:
        start = None if found is None else datetime.datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
        return None if start is None else Period(start, start + datetime.timedelta(days=1))
    except (ValueError, OverflowError):
        return None


def is_archive_key(key: str) -> bool:
    """Whether a store's object has the key of an archive (see ``archive_key``)."""
    import re

    return re.fullmatch(r"[^/]+/[^/]+/\d{4}/\d\d/\d\d/[^/]+", key) is not None


class HeadName(NamedTuple):
    """The head of a job's ledger, as the key of its copy in a store states it. seq, sha256: of the last entry; ledger: the id."""

    seq: int
    ledger: str
    sha256: str


def head_key(host: str, job: str, head: HeadName, flat: bool) -> str:
    """The key of a copy of the head. flat: in a store with flat names."""
    return ("%s~%s~ledger-%012d-%s-%s.json" if flat else "%s/%s/ledger/%012d-%s-%s.json") % (host, job, *head)


def head_of(key: str) -> t.Optional[HeadName]:
    """The head of which an object is a copy; None if the key is not that of one."""
    import re

    found = re.fullmatch(r"(?:[^/]+/[^/]+/ledger/|[^~/]+~[^~/]+~ledger-)([0-9]{12})-([0-9a-f]{32})-([0-9a-f]{64})\.json", key)
    return None if found is None else HeadName(int(found[1]), found[2], found[3])


def is_placed(key: str, manifest: Manifest) -> bool:
    """Whether a store's key is one under which this software puts the archive of the manifest.

    The name may be of a further revision. The folders count only if they are those of a host, a job and a day. An adopted archive has
    no revisions, and its key names the object that its manifest names.
    """
    import re

    if original_of(key) != manifest.get("adopted", {}).get("key"):
        return False
    folder, _slash, name = key.rpartition("/")
    wanted = manifest["archive"]["name"]
    if name != wanted and wanted not in (name[: found.start()] + name[found.end() :] for found in re.finditer(r"\.r[0-9]+", name)):
        return False
    dated = re.search(r"(?:^|/)([^/]+/[^/]+/\d{4}/\d\d/\d\d)$", folder, re.ASCII)
    day = manifest["period"]["start"][:10].replace("-", "/")
    return dated is None or dated[1] == folder_key(manifest["host"], manifest["job"]) + day


def original_of(key: str) -> t.Optional[str]:
    """The name, in its store, of the object that an adopted archive is; None for the key of any other archive."""
    if ":" not in key:
        return None
    from ..stores.layout import adopted_of

    adopted = adopted_of(key)
    return None if adopted is None else adopted.original


def manifest_key(key: str) -> str:
    """The key (or path) of the manifest beside an archive."""
    return key + MANIFEST_SUFFIX
