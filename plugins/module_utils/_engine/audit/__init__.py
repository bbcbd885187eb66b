# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Audit logs of a cloud: whether a trail is complete, and what its records say."""
