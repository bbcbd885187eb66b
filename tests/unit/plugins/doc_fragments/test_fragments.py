# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fragments are what the engine's tables say."""

from __future__ import annotations

import importlib
import pathlib

import pytest
import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[4] / "plugins" / "doc_fragments"


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


def test_limits_are_told() -> None:
    assert "At least V(1)." in options_of("retention")["policy"]["suboptions"]["min_keep"]["description"]
