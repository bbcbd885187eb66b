# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad days, with the real thing: killed runs, full disks, broken servers, damaged and hostile archives."""
