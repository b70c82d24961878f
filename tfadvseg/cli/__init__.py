"""The command line: options -> config -> one library call -> what was written and where."""

from __future__ import annotations

import os
import warnings
from typing import Any, TextIO

import click

from tfadvseg import __version__
from tfadvseg.cli.crossval import crossval
from tfadvseg.cli.data import data
from tfadvseg.cli.evaluate import evaluate
from tfadvseg.cli.export import export
from tfadvseg.cli.fit import fit
from tfadvseg.cli.predict import predict
from tfadvseg.cli.rank import rank
from tfadvseg.cli.report import report
from tfadvseg.cli.serve import serve
from tfadvseg.errors import DataWarning, ExportError, InputError, TrainingError


class Commands(click.Group):
    """Shows errors as one line: exit status 2 for wrong input, 1 for the rest."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                _show_own_warnings(libraries_too=ctx.params["debug"])
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params["debug"]:
                raise
            expected = isinstance(error, InputError | TrainingError | ExportError)
            text = str(error) if expected else f"{type(error).__name__}: {error}"
            hint = "" if expected else " (tfadvseg --debug ... shows where)"
            click.echo(f"Error: {' '.join(text.split())[:600]}{hint}", err=True)
            ctx.exit(2 if isinstance(error, InputError) else 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__)
def main(debug: bool) -> None:
    """Semi-supervised medical image segmentation with a generative adversarial network."""
    # TensorFlow's own notices would drown ours; a level that the user has set stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _show_own_warnings(*, libraries_too: bool) -> None:
    """Shows our warnings as one line each; those of libraries only to who looks for a bug.

    A file may be read several times, and would be warned of each time.
    """
    if libraries_too:
        return
    shown = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            click.echo(f"Warning: {message}", err=True)

    warnings.simplefilter("ignore")
    warnings.simplefilter("always", DataWarning)
    warnings.showwarning = show


for command in (fit, evaluate, crossval, report, predict, rank, export, serve, data):
    main.add_command(command)
