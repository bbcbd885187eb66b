# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of every room: errors, units, durable writing, periods, schedules, staging, the network, AWS."""
