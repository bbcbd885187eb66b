# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the demo as 'make demo' does, with Ansible's modules packed once for all runs of a test session: ``quick_demo.py [ARGUMENT...]``."""

from __future__ import annotations

import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
DEMO = TESTS.parent / "demo"
sys.path[:0] = [str(DEMO), str(TESTS)]

import run  # noqa: E402
from lab import quick_ansible  # noqa: E402


def main() -> int:
    quick = quick_ansible.environment()
    plugins = [str(DEMO / "callback"), *filter(None, [quick.pop("ANSIBLE_CALLBACK_PLUGINS", None)])]
    enabled = ["events", *filter(None, [quick.pop("ANSIBLE_CALLBACKS_ENABLED", None)])]
    without_settings = run.prepare_environment

    def prepare_environment() -> None:
        without_settings()
        os.environ.update(quick, ANSIBLE_CALLBACK_PLUGINS=os.pathsep.join(plugins), ANSIBLE_CALLBACKS_ENABLED=",".join(enabled))

    run.prepare_environment = prepare_environment
    return run.main()


if __name__ == "__main__":
    sys.exit(main())
