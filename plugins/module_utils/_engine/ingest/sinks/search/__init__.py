# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Elasticsearch and OpenSearch: rows as documents, sent from an outbox in SQLite."""
