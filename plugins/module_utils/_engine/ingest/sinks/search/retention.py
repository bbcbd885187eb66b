# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy that deletes old indices: ILM of Elasticsearch, ISM of OpenSearch. Both are plugins that a server may lack."""

from __future__ import annotations

import typing as t

from .documents import PRIORITY, end_of_month

if t.TYPE_CHECKING:
    from .server import SearchServer


def name_of(prefix: str) -> str:
    """The name of the policy of a stream."""
    return prefix + "-retention"


def index_settings(product: str, prefix: str) -> t.Dict[str, t.Any]:
    """The settings of an index template that name the policy. ISM finds the indices by their names instead."""
    return {"index.lifecycle.name": name_of(prefix)} if product == "elasticsearch" else {}


def settings_of(product: str, index: str) -> t.Dict[str, t.Any]:
    """The settings of one index: with ILM its age counts from the end of its month. ISM only knows when it was created."""
    return {"index.lifecycle.origination_date": end_of_month(index) * 1000} if product == "elasticsearch" else {}


def put_policy(server: SearchServer, product: str, prefix: str, patterns: t.Sequence[str], seconds: float) -> None:
    """Create or update the policy. Raises SinkError."""
    if product == "elasticsearch":
        server.request("PUT", "/_ilm/policy/" + name_of(prefix), ilm(seconds))
        return
    path = "/_plugins/_ism/policies/" + name_of(prefix)
    wanted = ism(prefix, patterns, seconds)
    known = server.request("GET", path, missing_is_none=True)
    if not isinstance(known, dict) or not {"_seq_no", "_primary_term", "policy"} <= known.keys():
        server.request("PUT", path, wanted)
    elif known["policy"].get("description") != wanted["policy"]["description"]:
        # A policy is changed by one who has seen its last version.
        server.request("PUT", path, wanted, if_seq_no=known["_seq_no"], if_primary_term=known["_primary_term"])


def ilm(seconds: float) -> t.Dict[str, t.Any]:
    """The policy of ILM."""
    return {"policy": {"phases": {"hot": {"actions": {}}, "delete": {"min_age": "%ds" % seconds, "actions": {"delete": {}}}}}}


def ism(prefix: str, patterns: t.Sequence[str], seconds: float) -> t.Dict[str, t.Any]:
    """The policy of ISM."""
    age = "%ds" % seconds
    states = [
        {"name": "keep", "actions": [], "transitions": [{"state_name": "delete", "conditions": {"min_index_age": age}}]},
        {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
    ]
    return {
        "policy": {
            "description": "made by log-archive for the indices %s-*: delete after %s" % (prefix, age),
            "default_state": "keep",
            "states": states,
            "ism_template": [{"index_patterns": list(patterns), "priority": PRIORITY}],
        }
    }
