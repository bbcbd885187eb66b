# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package as a command: ``python -m log_archive``."""

import os
import sys

from .cli.main import end_with_main

if __name__ == "__main__":
    if sys.getfilesystemencoding() != "utf-8":
        # File names are bytes (base/names.py).
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-m", str(__package__), *sys.argv[1:]])
    end_with_main()
