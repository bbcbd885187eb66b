# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that grow, are rotated, renamed, compressed and truncated, read as a sequence of lines with positions."""
