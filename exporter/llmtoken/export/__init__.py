"""Copies of the audit for other programs: JSON lines, CSV or Parquet, in order of arrival.

    export(reader, Job(…), target, advanced=…) -> Summary

Exact: money keeps its digits, times are RFC 3339 in UTC, and what nobody knows is null. A file
appears under its name when it is complete; what an interrupted copy had so far can be gone on
with. Must not know how rows are stored (that is `llmtoken.audit`'s), nor how progress is shown.
"""

from __future__ import annotations

from llmtoken.export.formats import FORMATS, csv_line, format_of
from llmtoken.export.job import Job, Progress, Summary, export
from llmtoken.export.target import File, Stream, Target

__all__ = ["FORMATS", "File", "Job", "Progress", "Stream", "Summary", "Target", "csv_line", "export", "format_of"]
