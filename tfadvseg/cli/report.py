"""The command `tfadvseg report`."""

from __future__ import annotations

from pathlib import Path

import click

from tfadvseg.cli.options import quiet_tensorflow, terminal
from tfadvseg.errors import InputError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write report.html of FOLDER, a sweep of crossval or a single run, finished or not.

    For a sweep also results.csv, results.json and LaTeX tables in tables/.
    """
    sweep = (folder / "plan.json").is_file()
    if not sweep and not (folder / "config.yaml").is_file():
        raise InputError(
            f"{folder}: expected a folder that `tfadvseg crossval --out` (plan.json) or `tfadvseg "
            "fit --out` (config.yaml) made, found neither file"
        )
    with quiet_tensorflow():
        from tfadvseg.report.run_report import write_run_report
        from tfadvseg.report.sweep_report import write_sweep_report
    from tfadvseg.progress import bar

    console = terminal()
    if not sweep:
        console.print(f"Wrote {write_run_report(folder)}")
        return
    for line in write_sweep_report(folder, progress=bar(console, "Drawing")):
        console.print(line)
    console.print(f"Wrote {folder}: report.html, results.csv, results.json, tables/*.tex")
