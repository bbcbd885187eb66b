# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fragments are what the engine's tables say."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest
import yaml
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import FORMATS

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
FOLDER = CHECKOUT / "plugins" / "doc_fragments"


def options_of(name: str) -> dict:
    fragment = importlib.import_module("ansible_collections.infra_ops.log_archive.plugins.doc_fragments." + name).ModuleDocFragment
    return yaml.safe_load(fragment.DOCUMENTATION)["options"]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_a_fragment_is_yaml_with_a_description_for_each_option(name: str) -> None:
    for option in options_of(name).values():
        assert option["description"]


def test_options_of_one_kind_of_store_say_so() -> None:
    bucket = options_of("store")["store"]["suboptions"]["bucket"]
    assert bucket == {"type": "str", "description": ["The S3 bucket. It must exist.", "Only with O(store.type) V(s3)."]}


def test_names_in_the_job_are_those_from_the_top() -> None:
    stores = options_of("job")["job"]["suboptions"]["stores"]["suboptions"]
    assert "O(job.stores[].host_key)" in stores["known_hosts_file"]["description"][0]


def test_limits_are_documented() -> None:
    assert "At least V(1)." in options_of("retention")["policy"]["suboptions"]["min_keep"]["description"]


def test_durations_and_sizes_say_how_they_are_written() -> None:
    options = options_of("job")["job"]["suboptions"]
    schedule, web = options["schedule"]["suboptions"], options["web"]["suboptions"]
    assert FORMATS["duration"] in schedule["spread"]["description"] and FORMATS["size"] in web["max_size"]["description"]
    sinks = options_of("stream")["stream"]["suboptions"]["sinks"]["suboptions"]
    # Its number needs a unit.
    assert FORMATS["duration"] not in sinks["delete_after"]["description"]


# In these, a parenthesis can be escaped.
ESCAPED = r"\b[VOE]\([^()\n]*\([^()\n]*(?<!\\)\)"


def test_no_markup_has_a_parenthesis_inside() -> None:
    """The first closing parenthesis ends C(...) and others: the rest would be shown as text."""
    files = [*CHECKOUT.glob("plugins/*/*.py"), *CHECKOUT.glob("roles/*/meta/argument_specs.yml")]
    assert len(files) > 60
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = "\n".join(re.findall(r'r"""(.*?)"""', text, re.DOTALL))
        for markup in (r"\b[CBIMP]\([^()\n]*\(", ESCAPED):
            found += ["%s: %s" % (path.name, each) for each in re.findall(markup, text)]
    assert found == []
