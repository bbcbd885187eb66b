# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each survey in AWX agrees with the inputs that its playbook checks."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .conftest import CHECKOUT, PROJECT, Controller

pytestmark = pytest.mark.xdist_group("awx")

PLAYBOOKS = sorted(path.stem for path in (PROJECT / "playbooks").glob("*.yml"))
# Inputs that no survey asks for, and why.
LEFT_OUT = {
    "log_archive_target": "AWX's limit says which hosts",
    "log_archive_batch": "one value for the fleet: log_archive_awx_extra_vars",
    "log_archive_max_fail_percent": "one value for the fleet: log_archive_awx_extra_vars",
    "log_archive_restore_identities": "files in the container of the job: log_archive_awx_extra_vars names them",
}
# Choices that no survey offers, and why.
CHOICES_LEFT_OUT = {("archive", "log_archive_upload", "ask"): "no one can answer while a job runs in AWX"}


def arguments_of(playbook: pathlib.Path) -> t.Dict[str, t.Any]:
    """The specs of the inputs that a playbook takes."""
    inputs = yaml.safe_load((playbook.parent / "vars" / "inputs.yml").read_text(encoding="utf-8"))["_log_archive_inputs"]
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        if "_log_archive_takes" in play.get("vars", {}):
            return {name: inputs[name] for name in play["vars"]["_log_archive_takes"]}
    raise AssertionError("%s checks no inputs" % playbook.name)


def as_answer(value: t.Any) -> t.Any:
    """The default of an input in a survey: booleans are a choice of two words."""
    return str(value).lower() if isinstance(value, bool) else value


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_survey_asks_for_the_inputs_of_its_playbook(controller: Controller, name: str) -> None:
    arguments = arguments_of(CHECKOUT / "playbooks" / (name + ".yml"))
    questions = {question["variable"]: question for question in controller.awx.survey("log-archive " + name).get("spec", [])}
    assert set(questions) == set(arguments) - set(LEFT_OUT)
    for variable, question in questions.items():
        argument = arguments[variable]
        kind = argument.get("type", "str")
        if "choices" in argument:
            offered = [each for each in argument["choices"] if (name, variable, each) not in CHOICES_LEFT_OUT]
            assert (question["type"], question["choices"]) == ("multiplechoice", offered), variable
        elif kind == "bool":
            assert (question["type"], question["choices"]) == ("multiplechoice", ["true", "false"]), variable
        elif kind == "list":
            assert (question["type"], argument["elements"]) == ("text", "str"), variable
            assert "separated by commas" in question["question_description"], variable
        else:
            assert question["type"] == {"str": "text", "path": "text", "int": "integer", "float": "float"}[kind], variable
        if question["type"] == "multiplechoice":
            # AWX has no empty choice, so one of them is always chosen.
            assert question["required"] and question["default"] in question["choices"], variable
        else:
            assert question["required"] == bool(argument.get("required") or "default" in argument), variable
        if "default" in argument:
            assert question["default"] == as_answer(argument["default"]), variable


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_the_answers_in_awx_s_form_are_valid_inputs(controller: Controller, name: str) -> None:
    arguments = arguments_of(CHECKOUT / "playbooks" / (name + ".yml"))
    questions = controller.awx.survey("log-archive " + name).get("spec", [])
    validator = ArgumentSpecValidator(arguments)
    # The least that a user can answer. AWX's pages send an empty answer as an empty text.
    least = {question["variable"]: question.get("default", "/web1" if question["required"] else "") for question in questions}
    assert validator.validate(least).error_messages == []
    for question in questions:
        for choice in question.get("choices", []):
            assert validator.validate({**least, question["variable"]: choice}).error_messages == [], question["variable"]


def test_every_input_that_is_left_out_exists() -> None:
    specs = {name: arguments_of(CHECKOUT / "playbooks" / (name + ".yml")) for name in PLAYBOOKS}
    assert set(LEFT_OUT) <= {variable for spec in specs.values() for variable in spec}
    for name, variable, choice in CHOICES_LEFT_OUT:
        assert choice in specs[name][variable]["choices"]
