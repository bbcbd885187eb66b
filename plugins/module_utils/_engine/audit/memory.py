# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered between two validations of a trail: the newest digest of each chain, its known start, and the public keys.

A file of the state, ``audit/<name>.<origin>.json``; ``audit/public-keys.json`` has the keys of all trails. An attacker who empties the
bucket cannot make the chain of yesterday unknown, and the keys serve when CloudTrail cannot be asked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import typing as t

from ..base import beneath, durable
from ..base.errors import ConfigError, LogArchiveError
from ..base.units import parse_utc
from ..config.option import PLAIN_NAME, PLAIN_NAME_MEANS
from ..state import folders

FOLDER = "audit"
KEYS = "public-keys.json"
LARGEST = 64 << 20


class Remembered(t.TypedDict, total=False):
    """Of one chain. bucket, key, end, sha256: its newest digest that was verified. clean_until: where the next validation goes on.

    starts: the keys of the digests with which the chain may begin.
    """

    bucket: str
    key: str
    end: str
    sha256: str
    clean_until: str
    starts: t.List[str]


class Memory:
    """The memory of one trail in a folder of state; None: there is none, and nothing is kept."""

    def __init__(self, state: t.Optional[str], name: str, origin: str) -> None:
        if not re.fullmatch(PLAIN_NAME, name):
            raise ConfigError("is not allowed as a name; use %s" % PLAIN_NAME_MEANS, repr(name))
        self._state = state
        self._file = "%s.%s.json" % (name, origin)
        self.chains: t.Dict[str, Remembered] = self._load(self._file, _chains)
        self.public_keys: t.Dict[str, bytes] = self._load(KEYS, _public_keys)

    def _load(self, name: str, read: t.Callable[[t.Any], t.Dict[str, t.Any]]) -> t.Dict[str, t.Any]:
        """What a file of the folder has; nothing if there is none. read: makes it from the JSON, and raises ValueError."""
        if self._state is None:
            return {}
        path = "%s/%s" % (FOLDER, name)
        try:
            with folders.held(self._state) as state, open(beneath.open_file(state, path), "rb") as stream:
                return read(json.loads(stream.read(LARGEST)))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError, ConfigError) as error:
            # To go on without it would accept whatever the bucket has now.
            raise LogArchiveError("cannot read what earlier validations have verified: %s" % error, self._path(path), _HINT) from error

    def save(self) -> None:
        """Keep the memory. What another validation has kept meanwhile stays: a chain never goes back."""
        if self._state is None:
            return
        path = "%s/%s" % (FOLDER, self._file)
        try:
            with contextlib.ExitStack() as stack:
                state = stack.enter_context(folders.held(self._state, create=True))
                folder = stack.enter_context(beneath.open_below(state, FOLDER, create=True))
                stack.enter_context(durable.lock(self._path(FOLDER + "/.lock"), wait=True, dir_fd=folder))
                kept = self._load(self._file, _chains)
                chains = {**kept, **self.chains}
                for name, old in kept.items():
                    if old.get("end", "") > chains[name].get("end", ""):
                        chains[name] = old
                keys = {**self.public_keys, **self._load(KEYS, _public_keys)}
                encoded = {name: base64.b64encode(value).decode() for name, value in keys.items()}
                durable.write_atomically(KEYS, _json(encoded), dir_fd=folder)
                durable.write_atomically(self._file, _json({"version": 1, "chains": chains}), dir_fd=folder)
        except OSError as error:
            raise LogArchiveError("cannot keep what was verified: %s" % error.strerror, self._path(path)) from error

    def _path(self, relative: str) -> str:
        return "%s/%s" % (self._state, relative)


_HINT = "Restore the file, or move it away: then the next validation needs --since, and the start of each chain is unknown again"


def _chains(held: t.Any) -> t.Dict[str, t.Any]:
    chains = held.get("chains") if isinstance(held, dict) else None
    if not isinstance(chains, dict):
        raise ValueError("it has no chains")
    for name, chain in chains.items():
        if name.count("/") != 2 or not isinstance(chain, dict) or not isinstance(chain.get("starts", []), list):
            raise ValueError("a chain is damaged")
        texts = [value for field, value in chain.items() if field != "starts"]
        if not all(isinstance(value, str) for value in [*texts, *chain.get("starts", [])]):
            raise ValueError("a chain is damaged")
        if "key" in chain and not {"bucket", "end", "sha256"} <= chain.keys():
            raise ValueError("a chain is damaged")
        for field in {"end", "clean_until"} & chain.keys():
            parse_utc(chain[field])
    return chains


def _public_keys(held: t.Any) -> t.Dict[str, bytes]:
    if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
        raise ValueError("it has no keys")
    return {name: base64.b64decode(value, validate=True) for name, value in held.items()}


def _json(value: t.Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
