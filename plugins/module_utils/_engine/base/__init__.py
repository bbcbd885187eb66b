# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every room stands on: errors, units, durable writing, periods, schedules, staging."""
