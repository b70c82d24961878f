"""The command `tfadvseg evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tfadvseg.cli.options import (
    CHECKPOINT,
    RUN,
    check_writable,
    quiet_tensorflow,
    terminal,
)
from tfadvseg.report import PAGE
from tfadvseg.run_folder import RunFolder, write_text


@click.command()
@RUN
@click.option(
    "--data", type=click.Path(path_type=Path), help="Another data folder: all its labelled cases."
)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    help="Which cases of the run; by default test where there is one, else val.",
)
@CHECKPOINT
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the scores there too.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Write a page with scores, curves and pictures there (HTML).",
)
def evaluate(
    run: Path,
    data: Path | None,
    split: str | None,
    checkpoint: str,
    file: Path | None,
    report: Path | None,
) -> None:
    """Score the model of RUN: MIOU, Dice, specificity, precision and recall.

    Predictions are compared with the masks on the original grid of every case.
    """
    check_writable(file, '"pooled": {')
    check_writable(report, PAGE)
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg import evaluation
        from tfadvseg.inference.predictor import Predictor
        from tfadvseg.report.run_report import write_run_report
    from tfadvseg.progress import bar
    from tfadvseg.reporting import print_scores

    console, predictor = terminal(), Predictor.load(run, checkpoint)
    result = evaluation.evaluate(
        run,
        data=data,
        split=split,
        checkpoint=checkpoint,
        predictor=predictor,
        progress=bar(console, "Evaluating"),
    )
    print_scores(console, result)
    if file is not None:
        write_text(file, json.dumps(result, indent=1) + "\n")
        console.print(f"Wrote {file}")
    if report is not None:
        write_run_report(
            run,
            content=result,
            data=data,
            checkpoint=checkpoint,
            predictor=predictor,
            file=report,
        )
        console.print(f"Wrote {report}")
