# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CloudWatch and EventBridge: what is sent there, within the limits of the services, and what is set up there.

The services answer some mistakes with success (log events that are too old, entries of PutEvents that failed), and a test server knows few
of the limits. So the limits are checked here, before anything is sent.
"""
