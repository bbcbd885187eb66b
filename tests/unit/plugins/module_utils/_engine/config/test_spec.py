# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the job and the stream document are complete."""

from __future__ import annotations

import re

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import option, spec as job_spec, stream_spec


def test_every_option_is_described_and_every_default_is_allowed():
    def walk(spec):
        for name, declared in spec.items():
            assert declared["description"], name
            if "default" in declared and declared.get("choices"):
                defaults = declared["default"] if declared["type"] == "list" else [declared["default"]]
                assert set(defaults) <= set(declared["choices"])
            assert not ("default" in declared and declared.get("required")), name
            if "options" in declared:
                walk(declared["options"])

    walk(job_spec.JOB)
    walk(stream_spec.STREAM)


def test_plain_text_has_no_markup():
    assert option.plain("Use O(path) as C(a.b) and V(1)") == "Use path as a.b and 1"
    for declared in job_spec.STORE.values():
        assert not re.search(r"\b[A-Z]\(", option.plain(" ".join(declared["description"])))
