# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in how a stream changes fields, with which each line would be rejected, or a field stored as it is that was to be encrypted."""

from __future__ import annotations

import typing as t
from collections import Counter

from .check import explanation
from .stream_spec import TRANSFORM

if t.TYPE_CHECKING:
    from ..ingest.records.tables import Column

CHOOSES = {"sftpgo": "sender"}
"""By profile: the field that says which table a line belongs to."""
LEAST_TOKEN = 100
"""Characters of the shortest Fernet token."""
IS_TYPO = 0.85
"""How similar a name must be to that of a known field to count as a mistake. Lines may have fields that a profile does not know."""


def transform_problems(transform: t.Mapping[str, t.Any], parse: t.Mapping[str, t.Any]) -> t.List[str]:
    """The mistakes in the options ``transform``, each as 'option: what is wrong'."""
    rename, keep, encrypt = transform["rename"], transform["keep"], transform["encrypt"]
    profile, time = parse["profile"], parse["time_field"]
    problems = []
    if encrypt and not transform["keyring"]:
        problems.append("transform.keyring: is missing%s; encrypt requires it" % explanation(TRANSFORM["keyring"]))
    if time in encrypt:
        problems.append("transform.encrypt: the time (%s) cannot be encrypted" % time)
    for name in sorted(name for name, count in Counter(rename.values()).items() if count > 1):
        problems.append("transform.rename: two fields are renamed to '%s'" % name)
    if time in rename and time not in rename.values():
        problems.append("transform.rename: renames the time (%s), so set parse.time_field to its new name, '%s'" % (time, rename[time]))
    chooses = CHOOSES.get(profile)
    if chooses is not None:
        because = "the profile %s chooses the table of a line by the field %s" % (profile, chooses)
        if chooses in rename and chooses not in rename.values():
            problems.append("transform.rename: %s, so it cannot have another name" % because)
        if keep is not None and chooses not in keep:
            problems.append("transform.keep: %s; add it" % because)
        if chooses in encrypt:
            problems.append("transform.encrypt: %s, so it cannot be encrypted" % because)
    columns = _columns(profile)
    for name in encrypt:
        column = columns.get(name)
        if name not in (time, chooses) and column is not None and not _holds_token(column):
            kind = "takes %d characters" % column.length if column.length else "is of the type %s" % column.kind
            text = "transform.encrypt: a token of %s does not fit into the column %s, which %s; drop the field with 'keep'"
            problems.append(text % (name, column.name, kind))
    known = {*columns, *rename.values(), time}
    for option, names in (("keep", keep or []), ("encrypt", encrypt)):
        for name in names if profile != "generic" else ():
            near = "" if name in known else _near(name, known)
            if near:
                problems.append("transform.%s: the profile %s has no field '%s'; did you mean '%s'?" % (option, profile, name, near))
    return problems


def _near(name: str, known: t.Iterable[str]) -> str:
    import difflib

    return "".join(difflib.get_close_matches(name, sorted(known), 1, IS_TYPO))


def _columns(profile: str) -> t.Dict[str, Column]:
    """The columns of a profile by the fields that fill them; of several, the one that holds least."""
    from ..ingest.records.tables import DERIVED_IP, PROFILES

    found: t.Dict[str, Column] = {}
    for table in PROFILES[profile]:
        for column in table.columns:
            field = "remote_addr" if column.field == DERIVED_IP else column.field
            if field and not field.startswith("\0") and (field not in found or _holds_token(found[field])):
                found[field] = column
    return found


def _holds_token(column: Column) -> bool:
    from ..ingest.records.tables import JSON, NAME, TEXT

    return column.kind in (TEXT, JSON) or (column.kind == NAME and column.length >= LEAST_TOKEN)
