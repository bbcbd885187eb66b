# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the tables of a job document declare an option.

An option is a dict with ``type`` (Ansible's types; 'duration' and 'size', which are strings to Ansible; 'map', an object of texts with
any keys), ``description`` (a list of sentences) and, if they apply, ``required``, ``default``, ``choices``, ``elements``, ``options``,
``secret`` (never shown), ``secret_query`` (a URL that is shown without its query), ``shorthand`` (texts that stand for an object),
``file_names`` (the text is compared with names of files, which may not be Unicode), ``types`` (the values of the ``type`` beside it that
use the option), ``pattern`` with ``pattern_means``, ``minimum`` and ``maximum``, ``instead_of`` (the part that it replaces), and
``example`` and ``sample`` (a part that the template shows in full).
"""

from __future__ import annotations

from ..base import hints as t

Option = t.Dict[str, t.Any]
Spec = t.Dict[str, Option]

PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
PLAIN_NAME_MEANS = "letters, digits, '.', '_' and '-' (at most 100, beginning with a letter or digit)"
_WITHOUT_MARKS = dict.fromkeys(map(ord, "._-"))


def is_allowed(value: str, pattern: str) -> bool:
    """Whether a text is allowed by the ``pattern`` of its option."""
    if pattern == PLAIN_NAME:
        # Every document has such names, and loading re takes a tenth of an idle run.
        return len(value) <= 100 and value.isascii() and value[:1].isalnum() and value.translate(_WITHOUT_MARKS).isalnum()
    import re

    return re.fullmatch(pattern, value) is not None


def is_endpoint(url: str) -> bool:
    """Whether this is the URL of a server: with http or https, and without credentials, query and fragment."""
    scheme, _separator, rest = url.partition("://")
    forbidden = any(character in "@?#" or character.isspace() for character in rest)
    return scheme in ("http", "https") and rest[:1] not in ("", "/") and not forbidden


def has_secret(value: t.Any, option: Option) -> bool:
    """Whether a value of this option, which need not be valid, is or contains a secret."""
    return bool(value) and (bool(option.get("secret")) or (bool(option.get("secret_query")) and ("?" in str(value) or "#" in str(value))))


def without_query(url: str) -> str:
    """A URL, which need not be valid, without its query and fragment; '?...' stands for them."""
    import re

    found = re.search(r"[?#]", url)
    return url if found is None else url[: found.start()] + "?..."


def plain(text: str) -> str:
    """A description without Ansible's markup, for messages and the template."""
    import re

    return re.sub(r"\b[A-Z]\(([^)]*)\)", lambda match: match.group(1), text)
