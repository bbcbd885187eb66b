# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a job document, or a part of it, against its table, and fill in defaults."""

from __future__ import annotations

import os

from ..base import hints as t
from ..base.errors import ConfigError, LogArchiveError
from .cloudtrail_spec import CLOUDTRAIL
from .encryption_spec import ENCRYPTION
from .notify_spec import NEEDED_BY_NOTIFY, NOTIFY
from .option import Option, Spec, is_allowed, plain
from .spec import JOB, WEB
from .store_spec import NEEDED_BY_STORE, STORE, STORE_PROBLEMS

if t.TYPE_CHECKING:
    from .document import CloudTrailOptions, JobDocument, NotifyTarget, StoreOptions, WebOptions


LONGEST_LIST = 1000
"""Elements of a list in a document."""
LONGEST_TEXT = 1 << 16
"""Characters of a text in a document: more than any path, key or URL has."""
LARGEST_NUMBER = (1 << 63) - 1
MOST_SUGGESTIONS = 20
"""After so many mistakes no message suggests what was meant."""


def normalise(document: t.Any, subject: t.Optional[str] = None) -> JobDocument:
    """Check a job document and return it with every option present: its default, or None, if it was not given.

    subject: the name of the document in messages. Raises ConfigError; its ``problems`` name every mistake as 'key: what is wrong'.
    """
    problems: t.List[str] = []
    normal = read_object(document, JOB, "", problems)
    if normal:
        problems += _job_problems(normal, _keys(problems))
    refuse(problems, "job document", subject)
    return t.cast("JobDocument", normal)


def normalise_store(options: t.Any, subject: t.Optional[str] = None) -> StoreOptions:
    """The same for the options of one store."""
    problems: t.List[str] = []
    normal = read_object(options, STORE, "", problems)
    if not problems:
        normal["name"] = normal["name"] or normal["type"]
        problems += _store_problems(normal, "")
    refuse(problems, "options", subject)
    return t.cast("StoreOptions", normal)


def normalise_receiver(options: t.Any, subject: t.Optional[str] = None) -> NotifyTarget:
    """The same for the options of one receiver of notifications that belongs to no job."""
    problems: t.List[str] = []
    normal = read_object(options, NOTIFY, "", problems)
    if not problems:
        problems += receiver_problems(normal, "")
    refuse(problems, "options", subject)
    return t.cast("NotifyTarget", normal)


def normalise_web(options: t.Any, subject: t.Optional[str] = None) -> WebOptions:
    """The same for the options of a web source."""
    from ..sources.web import problems as problems_of_web

    problems: t.List[str] = []
    normal = read_object(options, WEB, "", problems)
    if not problems:
        problems += problems_of_web(t.cast("WebOptions", normal))
    refuse(problems, "options", subject)
    return t.cast("WebOptions", normal)


def normalise_trail(options: t.Any, subject: t.Optional[str] = None) -> CloudTrailOptions:
    """The same for the options of a CloudTrail trail."""
    from ..sources.cloudtrail import CloudTrailCollector

    problems: t.List[str] = []
    normal = read_object(options, CLOUDTRAIL, "", problems)
    if not problems:
        problems += CloudTrailCollector.problems(normal)
    refuse(problems, "options", subject)
    return t.cast("CloudTrailOptions", normal)


def normalise_options(options: t.Any, spec: Spec, subject: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    """The same for the options of any table, each checked by itself."""
    problems: t.List[str] = []
    normal = read_object(options, spec, "", problems)
    refuse(problems, "options", subject)
    return normal


def refuse(problems: t.Sequence[str], what: str, subject: t.Optional[str] = None) -> None:
    """Raise ConfigError if there are problems. what: the kind of document that has them."""
    if problems:
        raise ConfigError("%d mistake%s in the %s" % (len(problems), "s" if len(problems) > 1 else "", what), subject, problems=problems)


def _keys(problems: t.Iterable[str]) -> t.Set[str]:
    return {problem.partition(":")[0] for problem in problems}


def read_object(value: t.Any, spec: Spec, where: str, problems: t.List[str]) -> t.Dict[str, t.Any]:
    """The value with every option of the table; adds each mistake to ``problems``. where: the key of the value, with a dot at its end."""
    if not isinstance(value, dict):
        problems.append("%s: must be an object, not %s" % (where.rstrip(".") or "the document", _kind(value)))
        return {}
    for name in value:
        if name not in spec:
            known = "; known keys: %s" % ", ".join(sorted(spec))
            # Comparing takes long; a document of a thousand unknown keys is not a document.
            near = _did_you_mean(name, spec) if len(problems) < MOST_SUGGESTIONS else ""
            problems.append("%s%s: unknown key%s" % (where, _cut(name), near or known))
    normal = {}
    for name, option in spec.items():
        given = value.get(name)
        if given is None:
            if option.get("required"):
                problems.append("%s%s: is missing%s" % (where, name, explanation(option)))
            normal[name] = option.get("default")
            if option["type"] == "dict" and normal[name] is not None:
                normal[name] = read_object(normal[name], option["options"], where + name + ".", problems)
        else:
            normal[name] = _value(given, option, where + name, problems)
    return normal


def _value(value: t.Any, option: Option, where: str, problems: t.List[str]) -> t.Any:
    kind = option["type"]
    if kind == "list":
        if not isinstance(value, list):
            problems.append("%s: must be a list, not %s" % (where, _kind(value)))
            return []
        if len(value) > LONGEST_LIST:
            problems.append("%s: has %d elements; the limit is %d" % (where, len(value), LONGEST_LIST))
            return []
        if option.get("required") and not value:
            problems.append("%s: must not be empty%s" % (where, explanation(option)))
        element = dict(option, type=option["elements"])
        return [_value(item, element, "%s[%d]" % (where, index), problems) for index, item in enumerate(value)]
    if kind == "dict":
        if isinstance(value, str):
            value = option.get("shorthand", {}).get(value, value)
        return read_object(value, option["options"], where + ".", problems)
    if kind == "map":
        if not isinstance(value, dict):
            problems.append("%s: must be an object of texts, not %s" % (where, _kind(value)))
            return {}
        wrong = [name for name, item in value.items() if not isinstance(item, str) or not item]
        if wrong:
            found = value[wrong[0]]
            problems.append(
                "%s: must be an object of texts; %s is %s" % (where, _cut(repr(wrong[0])), "empty" if found == "" else _kind(found))
            )
            return {}
        return value
    if isinstance(value, str) and not _is_text(value, kind == "path" or option.get("file_names", False)):
        problems.append("%s: contains a character that is not Unicode, or a zero byte" % where)
        return ""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        problems.append("%s: has %d characters; the limit is %d" % (where, len(value), LONGEST_TEXT))
        return ""
    if option.get("secret") and isinstance(value, str) and "{{" in value:
        problems.append(
            "%s: is a template that was not evaluated ('{{'), not a secret; AWX does not evaluate templates in extra variables" % where
        )
        return value
    choices = option.get("choices")
    if choices and not isinstance(value, str):
        problems.append("%s: must be one of %s, not %s" % (where, ", ".join(choices), _kind(value)))
        return value
    before = len(problems)
    value = _scalar(value, kind, where, problems)
    if len(problems) > before:
        return value
    if choices and value not in choices:
        problems.append("%s: must be one of %s, not %s%s" % (where, ", ".join(choices), _cut(repr(value)), _did_you_mean(value, choices)))
    if "pattern" in option and not is_allowed(value, option["pattern"]):
        problems.append("%s: %s is not allowed; use %s" % (where, _cut(repr(value)), option["pattern_means"]))
    if "minimum" in option and value < option["minimum"]:
        problems.append("%s: must be at least %s, not %s" % (where, option["minimum"], value))
    if "maximum" in option and value > option["maximum"]:
        problems.append("%s: must be at most %s, not %s" % (where, option["maximum"], value))
    return value


def _scalar(value: t.Any, kind: str, where: str, problems: t.List[str]) -> t.Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        # NaN is in no range.
        problems.append("%s: is not a number between %d and %d" % (where, -LARGEST_NUMBER, LARGEST_NUMBER))
        return 0
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and number:
        return value
    if kind in ("duration", "size") and (number or isinstance(value, str)):
        from ..base.units import parse_duration, parse_size

        try:
            (parse_duration if kind == "duration" else parse_size)(value)
        except LogArchiveError as error:
            problems.append("%s: %s" % (where, error))
        return value
    if kind in ("str", "path") and isinstance(value, str):
        if not value and kind == "path":
            problems.append("%s: must not be empty" % where)
        elif kind == "path":
            value = os.path.expanduser(value)
            if not os.path.isabs(value):
                problems.append("%s: must be an absolute path, not %s" % (where, _cut(repr(value))))
        return value
    names = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "text",
        "path": "a path",
        "duration": 'a duration such as "30s", "2h" or "7d"',
        "size": 'a size such as "10K" or "1.5G"',
    }
    problems.append("%s: must be %s, not %s" % (where, names[kind], _kind(value)))
    return value


_PLACES = {"s3": ("endpoint_url", "bucket", "prefix"), "sftp": ("host", "port", "user", "path")}
"""By type of a store, the options that say where it is."""


def _job_problems(normal: t.Dict[str, t.Any], wrong: t.Set[str]) -> t.List[str]:
    """Mistakes that show only when options are seen together. wrong: keys that have a mistake already; they get no second one."""

    # Every option that has a mistake in it: of 'stores[0].path' also 'stores[0]' and 'stores'.
    unsound = {key[:end] for key in wrong for end in range(len(key) + 1) if key[end : end + 1] in ("", ".", "[")}

    def sound(where: str) -> bool:
        return where not in unsound

    problems = []
    names: t.Set[str] = set()
    for index, store in enumerate(normal["stores"] or []):
        where = "stores[%d]" % index
        if not store or not sound(where + ".type"):
            continue
        if sound(where + ".name"):
            store["name"] = store["name"] or store["type"]
            if store["name"] in names:
                problems.append("%s.name: two stores are named '%s'; give each store a different name" % (where, store["name"]))
            names.add(store["name"])
        problems += _store_problems({key: value if sound("%s.%s" % (where, key)) else None for key, value in store.items()}, where + ".")
        if store["retention"] and sound(where + ".retention"):
            problems += _policy_problems(store["retention"], where + ".retention")
    problems += _name_problems_of(normal) if sound("name") else []
    problems += _requirement_problems(normal["stores"] or [], sound)
    if sound("name") and sound("host"):
        problems += _layout_problems(normal)
    problems += _twin_problems(normal["stores"] or [], sound)
    if normal["retention"] and sound("retention"):
        problems += _policy_problems(normal["retention"], "retention")
    problems += _source_problems(normal, sound)
    problems += _encryption_problems(normal["encryption"], sound)
    for index, target in enumerate(normal["notify"]):
        where = "notify[%d]" % index
        if target and sound(where):
            problems += receiver_problems(target, where + ".", normal["log"])
    if normal["schedule"] and sound("schedule.at"):
        problems += _schedule_problems(normal["schedule"]["at"])
    if normal["archive"] and normal["archive"]["name"] is not None and sound("archive.name"):
        problems += _name_problems(normal["archive"]["name"])
    return [problem for problem in problems if sound(problem.partition(":")[0])]


def _name_problems_of(normal: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    name, was = normal["name"], _names(normal["was"])
    for each in sorted(set(was)):
        if each == name:
            yield "was: '%s' is the name of the job; list only its earlier names" % each
        elif was.count(each) > 1:
            yield "was: '%s' is listed twice" % each


def name_conflicts(given: t.Mapping[str, t.Any], others: t.Iterable[t.Mapping[str, t.Any]]) -> t.List[str]:
    """Earlier names (``was``) that a job must not claim because of the other jobs of the host. The documents need not be checked."""
    problems = []
    was = set(_names(given.get("was")))
    for other in others if was else ():
        if other.get("name") in was:
            problems.append("was: '%s' is another job of this host; remove that job, or this name" % other["name"])
        for each in sorted(was & set(_names(other.get("was")))):
            text = "was: the job '%s' claims the earlier name '%s' too; only one job can take over its archives"
            problems.append(text % (other.get("name"), each))
    return problems


def _names(given: t.Any) -> t.List[str]:
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []


def _encryption_problems(encryption: t.Optional[t.Mapping[str, t.Any]], sound: t.Callable[[str], bool]) -> t.Iterator[str]:
    if not encryption or not sound("encryption.format") or not sound("encryption.recipients"):
        return
    recipients = encryption["recipients"] or []
    if encryption["format"] == "none":
        if recipients:
            yield "encryption.recipients: the format none does not encrypt; omit format or recipients"
        return
    if not encryption["keyring"] and not recipients:
        yield "encryption.keyring: is missing%s; or set recipients; or set encryption to none" % explanation(ENCRYPTION["keyring"])
    yield from recipient_problems(recipients, "encryption.recipients")


def recipient_problems(recipients: t.Sequence[str], option: str) -> t.Iterator[str]:
    """The mistakes in a list of recipients. option: how they name it."""
    if not recipients:
        return
    from ..crypto.envelope import MOST_RECIPIENTS
    from ..crypto.recipients import parse

    if len(recipients) > MOST_RECIPIENTS:
        yield "%s: there are %d; the limit is %d" % (option, len(recipients), MOST_RECIPIENTS)
    seen: t.Set[str] = set()
    for index, text in enumerate(recipients):
        where = "%s[%d]" % (option, index)
        try:
            recipient = parse(text)
        except ConfigError as error:
            yield "%s: %s" % (where, error)
            continue
        if recipient.text in seen:
            yield "%s: is listed twice" % where
        seen.add(recipient.text)


def _requirement_problems(stores: t.Sequence[t.Mapping[str, t.Any]], sound: t.Callable[[str], bool]) -> t.List[str]:
    optional = [store and sound("stores[%d].required" % index) and not store["required"] for index, store in enumerate(stores)]
    if not stores or not all(optional):
        return []
    return ["stores[0].required: no store of the job is required, so a log could be lost before any store has it; require at least one"]


def _layout_problems(normal: t.Mapping[str, t.Any]) -> t.List[str]:
    flat = [index for index, store in enumerate(normal["stores"] or []) if store and store["layout"] == "flat"]
    if not flat:
        return []
    from ..archive.naming import longest_flat_name

    try:
        # Without the option, the document may be of another host: no name of a host is longer than 64 bytes.
        suffix = (normal["archive"] or {}).get("suffix")
        longest_flat_name(normal["host"] or "x" * 64, normal["name"], suffix if isinstance(suffix, str) else ".tgz.fernet")
    except ConfigError as error:
        return ["stores[%d].layout: %s" % (flat[0], error.message)]
    return []


def _twin_problems(stores: t.Sequence[t.Mapping[str, t.Any]], sound: t.Callable[[str], bool]) -> t.Iterator[str]:
    """Two stores of a job in one place hold one copy: what retention removes from one is gone from both. ``places`` checks folders."""
    first: t.Dict[t.Any, int] = {}
    for index, store in enumerate(stores):
        if store and sound("stores[%d]" % index) and store["type"] in _PLACES:
            place = (store["type"], *(_plain(option, str(store[option] or "")) for option in _PLACES[store["type"]]))
            if first.setdefault(place, index) != index:
                yield "stores[%d]: is the same place as stores[%d]; one copy does not count as two" % (index, first[place])


def _plain(option: str, value: str) -> str:
    """The value without what makes no difference: a relative path of an SFTP store begins in the folder of the login, which is '~', too."""
    return os.path.normpath(value[2:] if value.startswith("~/") else value) if option == "path" else value.strip("/")


def _source_problems(normal: t.Dict[str, t.Any], sound: t.Callable[[str], bool]) -> t.List[str]:
    from ..sources.opening import KINDS

    given = [part for part in KINDS if normal[part]]
    if len(given) > 1:
        return ["%s: cannot be combined with %s; give one of them" % (given[0], given[1])]
    if not given:
        return ["select: is missing%s" % explanation(JOB["select"])] if all(map(sound, KINDS)) else []
    part = given[0]
    options = {name: value for name, value in normal[part].items() if sound("%s.%s" % (part, name))}
    return ["%s.%s" % (part, problem) for problem in KINDS[part]().problems(options)]


def _name_problems(template: str) -> t.List[str]:
    from datetime import datetime, timezone

    from ..base.name_template import render_name

    try:
        render_name(template, datetime.now(timezone.utc), "UTC", {"host": "host", "job": "job", "stem": "stem"})
    except ConfigError as error:
        return ["archive.name: %s" % error]
    return []


def _schedule_problems(at: str) -> t.List[str]:
    from ..base.schedule import parse

    try:
        parse(at)
    except ConfigError as error:
        return ["schedule.at: %s" % error]
    return []


def _store_problems(store: t.Mapping[str, t.Any], where: str) -> t.List[str]:
    """Options that a store of this type requires or does not have."""
    problems = problems_of_type(store, STORE, NEEDED_BY_STORE, where, "a store")
    return problems + [where + problem for problem in STORE_PROBLEMS[store["type"]](store)]


def receiver_problems(target: t.Mapping[str, t.Any], where: str, log: t.Optional[str] = None) -> t.List[str]:
    """Options that a receiver of notifications of this type requires or does not have. log: the event log of the job or stream."""
    from ..tell.receivers import problems

    of_type = problems_of_type(target, NOTIFY, NEEDED_BY_NOTIFY, where, "a notification")
    return of_type or [where + problem for problem in problems(t.cast("NotifyTarget", target), log)]


def problems_of_type(
    value: t.Mapping[str, t.Any], spec: Spec, needed: t.Mapping[str, t.Sequence[str]], where: str, what: str
) -> t.List[str]:
    """Options that a value of its type requires or does not have. what: how messages name the value."""
    kind = value["type"]
    problems = ["%s%s: is missing; %s of type %s requires it" % (where, name, what, kind) for name in needed[kind] if not value[name]]
    for name, option in spec.items():
        kinds = option.get("types", (kind,))
        if kind not in kinds and value[name] is not None and value[name] != option.get("default"):
            problems.append("%s%s: %s of type %s does not have this option; it is for %s" % (where, name, what, kind, ", ".join(kinds)))
    return problems


def _policy_problems(policy: t.Mapping[str, t.Any], where: str) -> t.List[str]:
    from ..base.periods import compile_pattern
    from ..holdings.policy import parse_policy

    try:
        template = policy["name_template"]
        if template is not None and compile_pattern(template, use_regex=False).unit is None:
            return ["%s.name_template: contains no date, so retention cannot judge a name; add one such as %%Y%%m%%d" % where]
        parse_policy({name: value for name, value in policy.items() if name != "name_template"})
    except ConfigError as error:
        return ["%s: %s" % (where, problem) for problem in error.problems or [error.message]]
    return []


def _did_you_mean(name: str, allowed: t.Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(allowed), 1)
    return "; did you mean '%s'?" % near[0] if near else ""


def _is_text(value: str, is_file_name: bool) -> bool:
    """Whether every part of the system can take this text. is_file_name: single bytes may stand as surrogate escapes (PEP 383)."""
    try:
        return b"\0" not in value.encode("utf-8", "surrogateescape" if is_file_name else "strict")
    except UnicodeEncodeError:
        return False


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."


def explanation(option: Option) -> str:
    """The first sentence about an option, in brackets, for a message."""
    return " (%s)" % plain(option["description"][0]).rstrip(".")


def _kind(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(type(value), "nothing")
