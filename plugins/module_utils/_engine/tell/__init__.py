# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports for people: what the command prints, notifications, and the receivers of notifications."""
