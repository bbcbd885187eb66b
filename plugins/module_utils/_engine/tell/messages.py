# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a notification about one run, or about the runs of a fleet.

Plain functions and no template engine make its forms: a host needs no further library for a table. Each form escapes what comes from
a record in one place: anyone may have chosen the file names, and any server the error messages.
"""

from __future__ import annotations

import typing as t

from .records import worst_state
from .summary import subject

if t.TYPE_CHECKING:
    from ..state.record import RunRecord
    from .metrics import JobFacts


class Message:
    """A notification. A receiver asks for the form that it delivers.

    records: one run or several. recovered: whether the run before this one failed. log: path of the event log of the job. facts: called
    for the metrics of a job, which need more than the record of one run; only for a message about one job.
    """

    def __init__(
        self,
        records: t.Sequence[RunRecord],
        recovered: bool = False,
        log: t.Optional[str] = None,
        facts: t.Optional[t.Callable[[], JobFacts]] = None,
    ) -> None:
        self.records = records
        self.recovered = recovered
        self.log = log
        self._facts = facts

    @property
    def state(self) -> str:
        """'failed', 'warning' or 'done': the worst of the runs."""
        return worst_state(self.records)

    @property
    def title(self) -> str:
        """One line."""
        return subject(self.records, self.recovered)

    @property
    def subject(self) -> str:
        """The title with the name of this software."""
        return "[log-archive] " + self.title

    def text(self) -> str:
        """Plain text."""
        from . import plain

        return plain.render(self.title, self.records)

    def lines(self) -> str:
        """Plain text without tables."""
        from . import plain

        return plain.render_lines(self.title, self.records)

    def html(self) -> str:
        """An HTML page."""
        from . import html_page

        return html_page.render(self.title, self.records)

    def markdown(self, limit: int) -> str:
        """Markdown for Mattermost, at most ``limit`` characters long."""
        from . import markdown

        return markdown.render(self.title, self.records, limit)

    def facts(self) -> JobFacts:
        """What the metrics of the job are made from; only with ``facts``."""
        if self._facts is None:
            raise AssertionError("a message about several runs has no metrics")
        return self._facts()
