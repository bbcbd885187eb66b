# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service of each stream of a host needs."""

from __future__ import annotations

import os
import re
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_duration
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documents import check_name

if t.TYPE_CHECKING:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_document import StreamDocument

DOCUMENTATION = r"""
name: stream_services
short_description: What the service of each stream of a host needs
version_added: 0.9.0
description:
  - Takes the stream documents of a host and returns the folders to which C(log-archive follow) writes for each, sorted by name, and the
    mounts that its paths may lie in.
  - It returns nothing else from the documents, so the result holds no secret.
positional: host, watchdog
options:
  _input:
    description: The stream documents by name, as the lookup P(infra_ops.log_archive.streams#lookup) returns them.
    type: dict
    required: true
  host:
    description: The name of the host, for messages.
    type: str
    required: true
  watchdog:
    description:
      - The time after which systemd restarts a service that has not responded, such as V(5min), V(90s) or V(90). With V(0) it never does.
      - The filter fails if it is not longer than the C(timeout) of each sink.
    type: str
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show where the followers of each host write
  ansible.builtin.debug:
    msg: "{{ query('infra_ops.log_archive.streams') | first | infra_ops.log_archive.stream_services(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: One dict for each stream.
  type: list
  elements: dict
  contains:
    name:
      description: The stream's name.
      type: str
    writable:
      description: The folders to which the follower writes.
      type: list
      elements: path
    temporary:
      description: Whether the stream uses a path in a folder for temporary files.
      type: bool
    home:
      description: Whether the follower writes below C(/home), C(/root) or C(/run/user).
      type: bool
    mounts:
      description: The units of systemd that would mount the folders of the stream, or those above them, from the top.
      type: list
      elements: str
"""

UNITS = {None: 1, "s": 1, "min": 60, "h": 3600}
"""Seconds by unit of systemd, of those that the role follow takes."""
_PLAIN = re.compile(rb"[A-Za-z0-9:_.]")


def stream_services(
    documents: t.Mapping[str, t.Mapping[str, t.Any]], host: str, watchdog: t.Optional[str] = None
) -> t.List[t.Dict[str, t.Any]]:
    """See DOCUMENTATION."""
    return [_service(name, documents[name], host, watchdog) for name in sorted(documents)]


def _service(name: str, document: t.Mapping[str, t.Any], host: str, watchdog: t.Optional[str]) -> t.Dict[str, t.Any]:
    check_name("stream", name, host)
    try:
        normal = normalise_stream(document, name)
    except LogArchiveError as error:
        raise AnsibleFilterError("%s: %s" % (host, error)) from None
    _check_watchdog(watchdog, normal, host)
    databases = {os.path.dirname(sink["path"]) for sink in normal["sinks"] if sink["path"]}
    files = [normal["log"], normal["page"] and normal["page"]["path"]]
    files += [target["path"] for target in normal["notify"] if target["type"] == "log"]
    folders = [target["path"] for target in normal["notify"] if target["type"] == "textfile"]
    # The follower makes the key of each month.
    folders += [normal["client_ids"]["keyring"]] if normal["client_ids"] else []
    writable = databases | {normal["state"], *filter(None, folders), *(os.path.dirname(file) for file in files if file)}
    journal = normal["follow"]["journal"]
    used = {*writable, *normal["follow"]["paths"], *filter(None, [journal and journal["directory"]])}
    used |= {sink["socket"] for sink in normal["sinks"] if sink["socket"]}
    if not all(path.isprintable() for path in writable):
        raise AnsibleFilterError("%s: the stream %s writes to a path with a control character" % (host, name))
    return {
        "name": name,
        "writable": sorted(writable),
        "temporary": any(_is_below(path, ("/tmp", "/var/tmp")) for path in used),
        "home": any(_is_below(path, ("/home", "/root", "/run/user")) for path in writable),
        "mounts": [_mount(folder) for folder in sorted({folder for path in used for folder in _folders(path)})],
    }


def _check_watchdog(watchdog: t.Optional[str], document: StreamDocument, host: str) -> None:
    """Refuse a watchdog that would restart a follower while it waits for a database."""
    match = re.fullmatch(r"([0-9]+)(s|min|h)?", watchdog or "0")
    # The role reports what is no time.
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    for sink in document["sinks"]:
        if seconds and sink["type"] != "sqlite" and seconds <= parse_duration(sink["timeout"]):
            raise AnsibleFilterError(
                "%s: stream %s: follow_watchdog (%s) must be longer than the timeout of the sink %s (%s), or systemd restarts the service "
                "while it waits for the server" % (host, document["name"], watchdog, sink["name"], sink["timeout"])
            )


def _folders(path: str) -> t.Iterator[str]:
    """A path and all folders above it but the first."""
    while path.strip("/"):
        yield path
        path = os.path.dirname(path)


def _mount(path: str) -> str:
    """The unit that mounts something at a path: systemd.unit(5), "String escaping for inclusion in unit names"."""
    name = b"-".join(_escaped(part) for part in os.fsencode(path).split(b"/") if part)
    return (b"\\x2e" + name[1:] if name.startswith(b".") else name).decode() + ".mount"


def _escaped(part: bytes) -> bytes:
    return b"".join(bytes([byte]) if _PLAIN.match(bytes([byte])) else b"\\x%02x" % byte for byte in part)


def _is_below(path: str, folders: t.Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"stream_services": stream_services}
