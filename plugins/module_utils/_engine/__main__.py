# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package as a command: ``python -m log_archive``."""

import sys

from .cli import main

sys.exit(main())
