"""The report on a sweep: its page, its tables, and what `results.json` tells."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import stdev
from typing import Any

from tfadvseg.data.folders.text import some
from tfadvseg.metrics import mean
from tfadvseg.progress import Progress, silent
from tfadvseg.report import answers, curves, page, tables
from tfadvseg.report.comparisons import Comparison, against_all_labels, between_recipes
from tfadvseg.report.gallery import sweep_gallery
from tfadvseg.report.results import FOREGROUND
from tfadvseg.report.sweep import STATES, Sweep, flat_rows, read_sweep
from tfadvseg.report.table import Table, to_html, to_latex
from tfadvseg.run_folder import write_text

METHOD = (
    "The patient is the statistical unit: slices are pooled, seeds averaged, so that each patient "
    "gives one difference, between models that were trained on the same fold with the same seed. "
    "p: Wilcoxon's signed-rank test, two-sided; p (Holm): corrected for all rows of its table, "
    "where the same runs under two names count once. "
    "Intervals: 95%, bootstrap over patients (BCa). A difference counts as shown where p (Holm) is "
    "at most 0.05 and the interval leaves out 0. Effect: matched-pairs rank-biserial correlation, "
    "from -1 (every patient lower) to +1 (every patient higher)."
)
LIMITS = (
    "Intervals and p-values tell how far other patients like these would give the same result. "
    "Patients of a fold share a model, and folds share training patients, so that both are "
    "somewhat too sure; what other labelled patients or another start would change shows in the "
    "standard deviations over folds and seeds. Fewer than some ten patients make bootstrap "
    "intervals too narrow."
)
DISTANCE = (
    "HD95: below 0 is better. It is averaged over the classes that both models found: what one of "
    "them missed is in Dice only."
)
EFFICIENCY = (
    "Mean over the test patients, with 95% intervals; below each label fraction the mean number "
    "of labelled training patients."
)
CURVES = "Lines: means over folds and seeds. Bands: from the lowest run to the highest."
JUDGED = (
    "Mean outputs of the discriminator for labels and for predictions, and the share of unlabelled "
    "pixels whose pseudo-label was trusted (kept)."
)


@dataclass(frozen=True)
class Analysis:
    """A sweep and all that is computed from it, once."""

    sweep: Sweep

    @cached_property
    def recipes(self) -> dict[str, list[Comparison]]:
        """Measure to the comparisons of recipes with the same labels."""
        return {measure: between_recipes(self.sweep, measure) for measure in tables.COLUMNS}

    @cached_property
    def labels(self) -> dict[str, list[Comparison]]:
        """Measure to the comparisons with supervision by all labels."""
        return {measure: against_all_labels(self.sweep, measure) for measure in tables.COLUMNS}

    @cached_property
    def shown(self) -> dict[str, str]:
        """Measures that have tables and charts of their own, with their names."""
        names = {"dice": "Dice", "hd95_mm": "HD95 in mm"}
        return {measure: name for measure, name in names.items() if self.sweep.measured(measure)}

    @cached_property
    def tables(self) -> dict[str, Table]:
        """All tables, by name."""
        made = [
            tables.table_2(self.sweep),
            tables.table_3(self.sweep),
            tables.budget(self.sweep),
            tables.readings(self.sweep),
        ]
        for measure, heading in self.shown.items():
            short = measure.removesuffix("_mm")
            made.append(tables.per_class(self.sweep, f"class_{short}", heading, measure))
            for name, title, found in (
                ("recipes", "recipes with the same labels", self.recipes),
                ("labels", "fewer labels against supervised with all labels", self.labels),
            ):
                title = f"{heading}: {title}"
                made.append(tables.comparison_table(f"{name}_{short}", title, found[measure]))
        return {table.name: table for table in made if table.rows}

    @cached_property
    def helped(self) -> list[answers.Answer]:
        """Whether the unlabelled images helped, a sentence a label fraction."""
        return answers.did_unlabelled_help(self.sweep, self.recipes["dice"])

    @cached_property
    def reached(self) -> list[answers.Answer]:
        """How far fewer labels are from all labels, a sentence a label fraction."""
        return answers.reaches_all_labels(self.sweep, self.labels["dice"])


def write_sweep_report(folder: Path, *, progress: Progress = silent) -> list[str]:
    """Writes `report.html`, `results.csv`, `results.json` and `tables/*.tex` of a sweep.

    Args:
        folder: of the sweep, finished or not.
        progress: wraps the runs whose models have to predict pictures.

    Returns:
        The progress of the sweep and its answers, in plain sentences.

    Raises:
        InputError: if the plan or the scores of a run are damaged; nothing is written then.
    """
    analysis = Analysis(read_sweep(folder))
    files = {
        folder / "results.csv": _csv(flat_rows(analysis.sweep)),
        folder / "results.json": json.dumps(_content(analysis), indent=1) + "\n",
        folder / "report.html": _page(analysis, progress),
        **{
            folder / "tables" / f"{name}.tex": to_latex(table)
            for name, table in analysis.tables.items()
        },
    }
    (folder / "tables").mkdir(exist_ok=True)
    for path, text in files.items():
        write_text(path, text)
    found = [answer.text for answer in (*analysis.helped, *analysis.reached)]
    return [_how_far(analysis.sweep), *_missing(analysis.sweep), *found]


def _page(analysis: Analysis, progress: Progress) -> str:
    sweep = analysis.sweep
    efficiency = (curves.label_efficiency(sweep, *shown) for shown in analysis.shown.items())
    differences = curves.patient_differences(analysis.recipes["dice"])
    sections = [
        page.paragraph(_how_far(sweep)),
        page.items(_missing(sweep), "missing"),
        "".join(page.paragraph(note, "note") for note in _notes(sweep)),
        page.section("Did the unlabelled images help?", _answers(analysis.helped)),
        page.section("Do fewer labels reach all labels?", _answers(analysis.reached)),
        page.section(
            "Scores and labels",
            curves.recipe_legend(setting.recipe for setting in sweep.settings()),
            page.group(efficiency, "charts"),
            page.paragraph(EFFICIENCY, "note"),
        ),
        page.section("Scores", _tables(analysis, "table")),
        page.section("Classes", _tables(analysis, "class_")),
        page.section(
            "Patient by patient",
            page.group([differences], "charts"),
            _tables(analysis, "recipes_"),
            _tables(analysis, "labels_"),
            page.paragraph(DISTANCE if "hd95_mm" in analysis.shown else "", "note"),
            page.paragraph(METHOD, "note"),
            page.paragraph(LIMITS, "note"),
        ),
        page.section("Cases", sweep_gallery(sweep, progress) if sweep.results() else ""),
        _curves("Training", curves.training_curves(sweep), CURVES),
        _curves("Discriminator", curves.discriminator_curves(sweep), f"{JUDGED} {CURVES}"),
        page.section("More tables", _tables(analysis, "budget"), _tables(analysis, "readings")),
    ]
    return page.document(f"Cross-validation: {sweep.folder.resolve().name}", sections)


def _tables(analysis: Analysis, prefix: str) -> str:
    """The tables of a group, side by side where there is room."""
    own = (table for name, table in analysis.tables.items() if name.startswith(prefix))
    return page.group(map(to_html, own), "tables")


def _curves(title: str, drawn: str, note: str) -> str:
    return page.section(title, drawn, page.paragraph(note, "note")) if drawn else ""


def _content(analysis: Analysis) -> dict[str, Any]:
    """What `results.json` holds."""
    sweep = analysis.sweep
    return {
        "data": sweep.data,
        "folds": sweep.folds,
        "runs": {state: _names(sweep, state) for state in STATES},
        "failures": {name: sweep.trainings()[name].error for name in _names(sweep, "failed")},
        "classes": list(sweep.classes()),
        "answers": {
            name: [{"verdict": answer.verdict, "text": answer.text} for answer in found]
            for name, found in (("unlabelled", analysis.helped), ("all_labels", analysis.reached))
        },
        "settings": [
            {
                **asdict(setting),
                "runs": len([run for run in runs if run.result is not None]),
                "planned": len(runs),
                "scores": {
                    name: {
                        measure: _moments(tables.run_values(runs, name, measure))
                        for measure in tables.COLUMNS
                    }
                    for name in (*sweep.classes(), FOREGROUND)
                },
            }
            for setting, runs in sweep.settings().items()
        ],
        "comparisons": {
            "recipes": [_row(c) for cs in analysis.recipes.values() for c in cs],
            "all_labels": [_row(c) for cs in analysis.labels.values() for c in cs],
        },
    }


def _moments(values: Sequence[float | None]) -> dict[str, float | None]:
    defined = [value for value in values if value is not None]
    return {"mean": mean(values), "sd": stdev(defined) if len(defined) > 1 else None}


def _answers(found: Sequence[answers.Answer]) -> str:
    return page.answers([(a.verdict.replace(" ", "-"), a.lead, a.detail) for a in found])


def _row(comparison: Comparison) -> dict[str, Any]:
    row = asdict(comparison)
    return {**row, "verdict": answers.verdict(comparison)} if row["measure"] == "dice" else row


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["run"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _how_far(sweep: Sweep) -> str:
    done, planned = len(sweep.results()), len(sweep.trainings())
    state = "All" if done == planned else f"{done} of"
    seeds = tables.count(len({run.seed for run in sweep.runs}), "seed")
    return (
        f"{state} {planned} runs are finished: data {sweep.data}, "
        f"{tables.count(sweep.folds, 'fold')}, label fractions {', '.join(sweep.fractions)}, "
        f"{seeds}."
    )


def _missing(sweep: Sweep) -> list[str]:
    """Runs that are not in the numbers, with the reason; `results.json` names them all."""
    lines = [f"{name} failed: {sweep.trainings()[name].error}" for name in _names(sweep, "failed")]
    for state in STATES[2:]:
        names = _names(sweep, state)
        if names:
            lines.append(f"{state.capitalize()} ({len(names)}): {some(names)}")
    return lines


def _names(sweep: Sweep, state: str) -> list[str]:
    return sorted(name for name, run in sweep.trainings().items() if run.state == state)


def _notes(sweep: Sweep) -> list[str]:
    notes = []
    if any(result.averaged for result in sweep.results().values()):
        notes.append(
            "Some metrics.json have no scores of patients, as older versions wrote them: there a "
            "patient's score is the mean over his cases, not that of all his voxels together."
        )
    others = [name for name, result in sweep.results().items() if result.split != "test"]
    if others:
        notes.append(f"Not evaluated on test patients: {', '.join(others)}.")
    return notes
