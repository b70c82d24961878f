"""The command `tfadvseg rank`."""

from __future__ import annotations

from pathlib import Path

import click

from tfadvseg.cli.options import RUN, check_writable, quiet_tensorflow, terminal
from tfadvseg.errors import InputError
from tfadvseg.report import PAGE
from tfadvseg.run_folder import RunFolder, write_text


@click.command()
@RUN
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The table (.csv); a page with pictures is written beside it (.html).",
)
def rank(run: Path, folder: Path, out: Path) -> None:
    """Rank the images in DIR that have no mask: which to label next, by what RUN's model lacks.

    DIR is a data folder or a folder of images. What the model knows least comes first, but nothing
    that is like what is labelled or ranked before.
    """
    if out.suffix.lower() != ".csv":
        raise InputError(f"--out {out}: expected a file that ends in .csv")
    sheet = out.with_suffix(".html")
    check_writable(out, "rank,case,file,patient,")
    check_writable(sheet, PAGE)
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.ranking import ranking
        from tfadvseg.report.ranking_page import ranking_page
    from tfadvseg.progress import bar
    from tfadvseg.reporting import ranking_table

    console = terminal()
    result = ranking.rank(run, folder, lambda text: bar(console, text))
    page = ranking_page(result, run, bar(console, "Drawing"))
    ranking.write_csv(result, out)
    write_text(sheet, page)
    console.print(ranking_table(result))
    for line in result.pool.notes():
        console.print(line)
    console.print(f"Wrote {out}")
    console.print(f"Wrote {sheet}")
