# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine of infra_ops.log_archive: plain Python, usable without Ansible."""

from __future__ import annotations

__version__ = "0.9.0"
