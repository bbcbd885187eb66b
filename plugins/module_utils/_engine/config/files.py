# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job and stream documents on disk: one JSON file each, ``<folder>/<name>.json``. Lines that begin with ``//`` are comments."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections import Counter

from ..base import hints as t, light
from ..base.beneath import open_regular
from ..base.errors import ConfigError, NoJobsError
from . import places
from .check import name_conflicts, normalise, refuse
from .option import Spec, has_secret, plain
from .spec import JOB

if t.TYPE_CHECKING:
    from typing import TextIO

    from .document import JobDocument
    from .stream_document import StreamDocument

_TEMPLATE = {
    "job": "'log-archive sample-config' prints a template",
    "stream": "Write NAME.json there as docs/follow.md describes it, or name another folder with --config",
}
"""By kind of document: what to do if there is none."""


LARGEST = 1 << 20
"""Characters of a document."""


def find(config: str, jobs: t.Sequence[str], kind: str = "job") -> t.List[str]:
    """The paths of the documents of these jobs (names, also earlier ones, or paths of files); of all jobs in the folder ``config`` if
    ``jobs`` is empty.

    kind: "job" or "stream". Raises NoJobsError if the folder contains no document, ConfigError for a name without a document.
    """
    if not jobs:
        if os.path.isfile(config):
            return [config]
        names = _names(config, kind)
        if not names:
            raise NoJobsError("the folder contains no %s document (*.json)" % kind, config, _TEMPLATE[kind])
        return [os.path.join(config, name) for name in names]
    paths = []
    for job in jobs:
        if os.path.isfile(config) and job == job_of(config):
            paths.append(config)
            continue
        path = job if os.sep in job or job.endswith(".json") else os.path.join(config, job + ".json")
        if not os.path.isfile(path) and kind == "job" and os.path.isdir(config):
            path = _renamed(config, job) or path
        # What is no file is reported by who opens it.
        if not os.path.lexists(path):
            raise ConfigError("the %s document does not exist" % kind, path, _meant(config, job_of(path), kind))
        paths.append(path)
    return paths


def _meant(config: str, job: str, kind: str) -> str:
    """What to do about a name without a document."""
    if os.path.isfile(config):
        return "%s is the document of the %s '%s' only" % (config, kind, job_of(config))
    known = [name[: -len(".json")] for name in _names(config, kind)] if os.path.isdir(config) else []
    if not known:
        return "Give the name of a %s or the path of a file" % kind
    from ..base.periods import did_you_mean

    return "%sKnown %ss: %s" % (did_you_mean(job, known), kind, ", ".join(known))


def _renamed(config: str, job: str) -> t.Optional[str]:
    """The path of the document of a job that had this name before."""
    for name in _names(config, "job"):
        path = os.path.join(config, name)
        with contextlib.suppress(OSError):  # It is reported where it is used.
            status = os.stat(path)
            was = _given(path, status.st_mtime_ns, status.st_size).get("was")
            if isinstance(was, list) and job in was:
                return path
    return None


def _names(config: str, kind: str) -> t.List[str]:
    try:
        return sorted(name for name in os.listdir(config) if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError as error:
        raise NoJobsError("there are no %s documents: the folder does not exist" % kind, config, _TEMPLATE[kind]) from error
    except OSError as error:
        raise ConfigError("cannot read the folder of %s documents: %s" % (kind, error.strerror), config) from error


def job_of(path: str) -> str:
    """The name of the job with the document ``path``, which need not be readable."""
    name = os.path.basename(path)
    return name[: -len(".json")] if name.endswith(".json") else name


def kind_of(path: str, expected: str = "job") -> str:
    """Whether a document, which may be wrong, is one of a "job" or a "stream". expected: the kind of the others in its folder."""
    with contextlib.suppress(OSError):
        given = _given.__wrapped__(path, 0, 0)
        if ("follow" in given) != ("stores" in given):
            return "stream" if "follow" in given else "job"
    return expected


def open_document(path: str) -> TextIO:
    """The document, open to read. Raises OSError, also for what is no file: a named pipe would hold up every job of the host."""
    # Some editors write a byte order mark.
    return open(open_regular(path), encoding="utf-8-sig")


def load(path: str, look: bool = False) -> JobDocument:
    """Read and check one job document, and where its paths lie on this host. Raises ConfigError that names the file and every mistake.

    look: as for ``places.check``.
    """

    def more(document: JobDocument) -> None:
        others = _others(path)
        places.check(document, others, path, look)
        refuse(name_conflicts(document, others), "job document", path)

    document = t.cast("JobDocument", _load(path, "job", JOB, normalise, more))
    more(document)
    return document


def load_stream(path: str) -> StreamDocument:
    """The same for a stream document."""
    from .stream_check import normalise_stream
    from .stream_spec import STREAM

    def more(document: StreamDocument) -> None:
        places.check_stream(document, path)

    document = t.cast("StreamDocument", _load(path, "stream", STREAM, normalise_stream, more))
    more(document)
    return document


def _load(
    path: str, kind: str, spec: Spec, check: t.Callable[[t.Any, str], t.Any], more: t.Optional[t.Callable[[t.Any], None]] = None
) -> t.Any:
    """The document, checked. more: checks the paths of a document without other mistakes; the caller does that, if there are none."""
    try:
        with open_document(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError("cannot read the %s document: %s" % (kind, reason), path) from error
    if len(text) > LARGEST:
        raise ConfigError("the %s document has more than %d characters" % (kind, LARGEST), path, "Split it, or shorten its lists")
    lines = without_comments(text)
    repeated: t.List[str] = []

    def unique(pairs: t.List[t.Tuple[str, t.Any]]) -> t.Dict[str, t.Any]:
        counted = Counter(name for name, _value in pairs)
        repeated.extend("%s: is given twice" % name for name in sorted(name for name, count in counted.items() if count > 1))
        return dict(pairs)

    try:
        given = light.loads("\n".join(lines), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _no_json(error, path, lines) from error
    errors = list(_outer_errors(given, path, kind, spec, mode))
    if repeated:
        errors.append(ConfigError("a key is given twice in the same object", path, problems=repeated))
    document = None
    try:
        document = check(given, path)
    except ConfigError as error:
        errors.append(error)
        if more is not None:
            errors += _more_errors(given, path, error, check, more)
    if errors:
        raise merged(errors, kind, path)
    return document


def _no_json(error: Exception, path: str, lines: t.Sequence[str]) -> ConfigError:
    """The error of a document that is not JSON. lines: of the document."""
    import json

    if not isinstance(error, json.JSONDecodeError):
        return ConfigError("not valid JSON: %s" % error, path)
    # Operators write documents. A message must not quote the target of a symbolic link, which only this user may be able to read.
    if os.path.realpath(path).endswith(".json"):
        # Nor a value, which may be a secret: it is reported to people who may not read the file.
        near = lines[error.lineno - 1].partition(":")[0].strip()[:80] if error.lineno <= len(lines) else "the end of the file"
        hint = "Near: %s" % (near or "an empty line")
    else:
        hint = "The file is not quoted, because its name does not end in .json"
    return ConfigError("not valid JSON: %s at line %d, column %d" % (error.msg, error.lineno, error.colno), path, hint)


def _outer_errors(given: t.Any, path: str, kind: str, spec: Spec, mode: int) -> t.Iterator[ConfigError]:
    """What is wrong with the file of a document."""
    name = given.get("name") if isinstance(given, dict) else None
    if isinstance(name, str) and os.path.basename(path) != name + ".json":
        yield ConfigError(
            "the name of the %s is '%s', so the file must be named '%s.json'" % (kind, name[:100], name[:100]), path, "Rename one of them"
        )
    if mode & stat.S_IWOTH:
        yield ConfigError("every user can change the %s document" % kind, path, "chmod o= %s" % path)
    folder = os.path.dirname(os.path.abspath(path))
    if os.stat(folder).st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        yield ConfigError("every user can replace the %s document, because its folder is writable" % kind, path, "chmod o-w %s" % folder)
    if stat.S_IMODE(mode) & 0o007 and _has_secret(given, spec):
        yield ConfigError("the %s document contains a secret, and other users can read it" % kind, path, "chmod o= %s" % path)


def _more_errors(
    given: t.Any, path: str, error: ConfigError, check: t.Callable[[t.Any, str], t.Any], more: t.Callable[[t.Any], None]
) -> t.Iterator[ConfigError]:
    """What ``more`` finds in the part of a document that has no mistake."""
    from .partial import without_mistakes

    try:
        document = check(without_mistakes(given, error.problems), path)
    except ConfigError:
        return
    try:
        more(document)
    except ConfigError as found:
        yield found


def merged(errors: t.Sequence[ConfigError], kind: str, path: str) -> ConfigError:
    """One error that names every mistake of a document; the error itself if there is only one."""
    if len(errors) == 1:
        return errors[0]
    problems: t.List[str] = []
    for error in errors:
        alone = ConfigError(error.message, None if error.subject == path else error.subject, error.hint)
        problems += error.problems or [str(alone)]
    return ConfigError("%d mistakes in the %s document" % (len(problems), kind), path, problems=problems)


def without_comments(text: str) -> t.List[str]:
    """The lines of a document. Comments become empty lines, so that line numbers in messages are right."""
    return ["" if line.lstrip().startswith("//") else line for line in text.split("\n")]


def _others(path: str) -> t.List[places.Given]:
    """The documents in the folder of the document ``path`` without this one, as they were written."""
    folder, own = os.path.split(os.path.abspath(path))
    found = []
    for name in os.listdir(folder):
        if name.endswith(".json") and not name.startswith(".") and name != own:
            other = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # A job that cannot be read does not run.
                status = os.stat(other)
                found.append(_given(other, status.st_mtime_ns, status.st_size))
    return found


def all_given(config: str) -> t.Dict[str, places.Given]:
    """The documents in the folder ``config`` as they were written, by the names of their jobs; nothing of those that cannot be read."""
    found: t.Dict[str, places.Given] = {}
    folder, names = (config, []) if os.path.isdir(config) else (os.path.dirname(config), [os.path.basename(config)])
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = names or sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    for name in names:
        found[job_of(name)] = {}
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(folder, name))
            found[job_of(name)] = _given(os.path.join(folder, name), status.st_mtime_ns, status.st_size)
    return found


@functools.cache
def _given(path: str, _modified: int, _size: int) -> places.Given:
    """A document as it was written; nothing if it is not valid. 'run --all' needs each document once for every other one."""
    try:
        with open_document(path) as file:
            given = light.loads("\n".join(without_comments(file.read(LARGEST))))
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _has_secret(value: t.Any, spec: Spec) -> bool:
    if not isinstance(value, dict):
        return False
    for name, item in value.items():
        option = spec.get(name)
        if option is None:
            continue
        if has_secret(item, option):
            return True
        if "options" in option and any(_has_secret(i, option["options"]) for i in (item if isinstance(item, list) else [item])):
            return True
    return False


_HEADER = (
    "// A job of log-archive. Lines that begin with // are comments.",
    "// Durations are seconds or numbers with w, d, h, m, s (90, 15m, 1d12h); sizes are bytes or a number with K, M, G, T, P (10M).",
)


def sample() -> str:
    """A commented template of a job document. It is valid without changes."""
    return "\n".join([*_HEADER, "{"] + _sample(JOB, "  ") + ["}", ""])


def _sample(spec: Spec, indent: str) -> t.List[str]:
    """Lines of an object. Options without an example come first, as comments that end with a comma, so each can be uncommented alone."""
    optional: t.List[str] = []
    live: t.List[str] = []
    for name, option in spec.items():
        about = [indent + "// " + line for line in _explained(option)]
        key = light.dumps(name)
        if option["type"] == "dict" and (option.get("required") or option.get("sample") or "default" in option):
            live += about + ["%s%s: {" % (indent, key)] + _sample(option["options"], indent + "  ") + [indent + "},"]
        elif "example" in option:
            live += about + ["%s%s: %s," % (indent, key, light.dumps(option["example"]))]
        elif option["type"] == "dict":
            about += ["%s//   %s: %s" % (indent, rule, _explained_within(o)) for rule, o in option["options"].items()]
            value = {rule: o["example"] for rule, o in option["options"].items() if "example" in o}
            # A part that replaces another one cannot be uncommented beside it.
            mark = "//  " if "instead_of" in option else "//"
            optional += about + ["%s%s %s: %s," % (indent, mark, key, light.dumps(value))]
        else:
            optional += about + ["%s// %s: %s," % (indent, key, light.dumps(option.get("default")))]
    live[-1] = live[-1].rstrip(",")
    return optional + live


def _explained(option: t.Mapping[str, t.Any]) -> t.List[str]:
    lines = [plain(sentence) for sentence in option["description"]]
    if option.get("choices"):
        lines.append("One of: %s." % ", ".join(option["choices"]))
    if option.get("elements") == "dict":
        lines.append("Keys of each:")
        for name, inner in option["options"].items():
            kinds = " (%s)" % ", ".join(inner["types"]) if "types" in inner else ""
            lines.append("  %s%s: %s" % (name, kinds, _explained_within(inner)))
    return lines


def _explained_within(option: t.Mapping[str, t.Any]) -> str:
    """The explanation of an option that the template does not show by itself, so its default is not seen there."""
    default = option.get("default")
    shown = [] if default in (None, "", [], {}) else ["Default: %s." % light.dumps(default)]
    return " ".join([*_explained(option), *shown])
