# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWX: the execution environment, what playbooks/awx.yml sets up, its surveys, and jobs run as AWX runs them."""
