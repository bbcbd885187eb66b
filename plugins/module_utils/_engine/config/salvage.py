# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can still be read of a job document with mistakes: whom to notify of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import typing as t

from ..base.errors import ConfigError
from .check import normalise_receiver
from .files import LARGEST, open_document, without_comments
from .option import PLAIN_NAME

if t.TYPE_CHECKING:
    from .document import NotifyTarget


class Salvaged(t.NamedTuple):
    """host: its configured name, if there is one. notify: the receivers without mistakes. log: path of the event log."""

    host: t.Optional[str]
    notify: t.List[NotifyTarget]
    log: t.Optional[str]


def salvage(path: str) -> Salvaged:
    """Read what can be read of a job document. Raises nothing."""
    given = _read(path)
    host, log, notify = given.get("host"), given.get("log"), given.get("notify")
    return Salvaged(
        host if isinstance(host, str) and re.fullmatch(PLAIN_NAME, host) else None,
        [target for each in (notify if isinstance(notify, list) else []) for target in _receiver(each)],
        log if isinstance(log, str) and os.path.isabs(log) else None,
    )


def _receiver(given: t.Any) -> t.Iterator[NotifyTarget]:
    if isinstance(given, dict):
        with contextlib.suppress(ConfigError):
            # The log that it asks for may be the mistake.
            yield normalise_receiver({**given, "attach_log": False} if given.get("attach_log") else given)


def _read(path: str) -> t.Dict[str, t.Any]:
    try:
        with open_document(path) as file:
            text = "\n".join(without_comments(file.read(LARGEST)))
        given = json.loads(text)
    except (OSError, UnicodeDecodeError):
        return {}
    except (ValueError, RecursionError):
        return {"notify": _receivers_in(text), "host": _value_in(text, "host"), "log": _value_in(text, "log")}
    return given if isinstance(given, dict) else {}


def _receivers_in(text: str) -> t.List[t.Any]:
    """The receivers in a text that is not JSON as a whole, up to the first that cannot be read."""
    found = re.search(r'"notify"\s*:\s*\[', text)
    receivers: t.List[t.Any] = []
    position = found.end() if found else len(text)
    with contextlib.suppress(ValueError, RecursionError):
        while True:
            position += len(re.match(r"[\s,]*", text[position:])[0])  # type: ignore[index]
            value, position = json.JSONDecoder().raw_decode(text, position)
            receivers.append(value)
    return receivers


def _value_in(text: str, key: str) -> t.Any:
    found = re.search(r'"%s"\s*:\s*' % key, text)
    with contextlib.suppress(ValueError, RecursionError):
        return json.JSONDecoder().raw_decode(text, found.end())[0] if found else None
    return None
