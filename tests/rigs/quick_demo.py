# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the demo as 'make demo' does, with Ansible's modules packed once for all runs of a test session, and their libraries imported once
for all modules of a run: ``quick_demo.py [ARGUMENT...]``."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import typing as t

TESTS = pathlib.Path(__file__).resolve().parents[1]
DEMO = TESTS.parent / "demo"
sys.path[:0] = [str(DEMO), str(TESTS)]

import plays  # noqa: E402
import run  # noqa: E402
from lab import quick_ansible  # noqa: E402

LIBRARIES = ["boto3", "botocore.client", "paramiko"]
PLAYBOOK = "import sys; from lab.quick_ansible.warm import once; once(sys.argv[1:], %r)" % LIBRARIES


def main() -> int:
    quick = quick_ansible.environment()
    plugins = [str(DEMO / "callback"), *filter(None, [quick.pop("ANSIBLE_CALLBACK_PLUGINS", None)])]
    enabled = ["events", *filter(None, [quick.pop("ANSIBLE_CALLBACKS_ENABLED", None)])]
    without_settings, process_tree = run.prepare_environment, plays.process_tree

    def prepare_environment() -> None:
        without_settings()
        os.environ.update(quick, ANSIBLE_CALLBACK_PLUGINS=os.pathsep.join(plugins), ANSIBLE_CALLBACKS_ENABLED=",".join(enabled))

    def quick_process_tree(
        command: t.Sequence[str], env: t.Mapping[str, str], log: t.TextIO
    ) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        paths = os.pathsep.join([str(TESTS), *filter(None, [env.get("PYTHONPATH")])])
        return process_tree([sys.executable, "-c", PLAYBOOK, *command], {**env, "PYTHONPATH": paths}, log)

    run.prepare_environment = prepare_environment
    plays.process_tree = quick_process_tree
    return run.main()


if __name__ == "__main__":
    sys.exit(main())
