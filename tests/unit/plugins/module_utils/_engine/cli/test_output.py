# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command writes, and its exit code for several jobs."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import output


def test_the_worst_exit_code_stands_for_all():
    assert output.worst([0, 5, 3]) == 3
    assert output.worst([3, 1]) == 1
    assert output.worst([1, 2]) == 2
    assert output.worst([2, 4]) == 4
    assert output.worst([]) == 0


def test_an_error_object_holds_the_parts_of_an_error():
    error = errors.ConfigError("2 mistakes", "/etc/x.json", "Correct them", ["a: is missing", "b: unknown key"])
    assert output.error_object(error) == {
        "kind": "config",
        "message": "2 mistakes",
        "subject": "/etc/x.json",
        "hint": "Correct them",
        "problems": ["a: is missing", "b: unknown key"],
        "text": "/etc/x.json: 2 mistakes. Correct them\n  - a: is missing\n  - b: unknown key",
    }


def test_the_kind_of_a_defect_shows_no_text_of_the_exception():
    shown = output.error_object(errors.UnexpectedError(KeyError("marker-of-a-secret")))
    assert (shown["kind"], shown["message"]) == ("unexpected", "unexpected KeyError")
    assert "marker" not in shown["text"]


def every_error(kind):
    yield kind
    for each in kind.__subclasses__():
        yield from every_error(each)


@pytest.mark.parametrize("kind", [each for each in every_error(errors.LogArchiveError) if each.__module__ == errors.__name__])
def test_every_class_of_errors_has_a_kind_of_its_own(kind):
    assert "kind" in vars(kind)
    others = [each for each in every_error(errors.LogArchiveError) if each is not kind and each.__module__ == errors.__name__]
    assert kind.kind not in [other.kind for other in others]
