"""The report: from a store of finished cells to report.md and its figures."""

from actzoo.report.markdown import summary_rows as summary_rows
from actzoo.report.markdown import write_report as write_report

__all__ = ["summary_rows", "write_report"]
