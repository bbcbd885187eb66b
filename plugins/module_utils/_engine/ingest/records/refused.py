# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a line is rejected."""

from __future__ import annotations

REASONS = {
    "too_long": "the line is longer than parse.max_line",
    "not_utf8": "the line is not UTF-8",
    "not_json": "the line is not valid JSON",
    "not_object": "the line is valid JSON, but not an object",
    "bad_text": "a text contains a character that databases do not store (U+0000 or half of a surrogate pair)",
    "bad_number": "a number is out of range (integers have 64 bits)",
    "bad_time": "the time is missing, or not in parse.time_format",
    "bad_type": "a field has another type than its column",
    "long_value": "a value is longer than its column",
    "new_field": "the profile does not know a field, and parse.new_fields is reject",
    "no_header": "the fields of a flow log are unknown: its first line does not name them, and parse.fields is not set",
    "field_count": "the line has more or fewer values than its flow log has fields",
    "two_client_ids": "the line has more than one client id",
    "database": "the database refuses the row",
    "document": "the search server refuses the document",
}


class Refused(Exception):
    """A line that no table takes. reason: a key of REASONS; detail: which field or position, without the value."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class NoRecord(Exception):
    """A line that is none of the log's records, and is not rejected either, such as the names of the fields of a flow log."""
