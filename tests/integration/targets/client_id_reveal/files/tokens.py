# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the tokens in a SQLite sink."""

from __future__ import annotations

import sqlite3
import sys

for row in sqlite3.connect(sys.argv[1]).execute("SELECT client_id FROM client_event ORDER BY line_offset"):
    print(row[0])
