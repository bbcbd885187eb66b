# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of a job: the signed, gap-free chain of what its stores got and what was removed from them."""
