"""A study's report: one HTML page that needs no network, the same in Markdown, and a model card."""

from xmpress.study.report.write import summary, write_report

__all__ = ["summary", "write_report"]
