# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package as a command: ``python -m log_archive``."""

from .cli.main import end_with_main

if __name__ == "__main__":
    end_with_main()
