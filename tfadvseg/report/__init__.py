"""Reports on sweeps and on single runs: statistics, tables, charts and pages of HTML."""

from tfadvseg.report.run_report import write_run_report
from tfadvseg.report.sweep_report import write_sweep_report

__all__ = ["write_run_report", "write_sweep_report"]
