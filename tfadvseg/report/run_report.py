"""The report on a single run: scores, curves, pictures, data and settings on one page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfadvseg.config import Config
from tfadvseg.health import all_troubles, best_model
from tfadvseg.inference.predictor import Predictor
from tfadvseg.metrics import SCORES, mean
from tfadvseg.report import curves, page
from tfadvseg.report.confidence import confidence
from tfadvseg.report.gallery import run_gallery
from tfadvseg.report.results import (
    FOREGROUND,
    Result,
    load_result,
    read_history,
    read_json,
    read_result,
)
from tfadvseg.report.statistics import FEWEST, interval
from tfadvseg.report.table import Cell, Table, headings, number, spread, to_html
from tfadvseg.report.tables import distance_note
from tfadvseg.report.trust import NOTE as TRUST
from tfadvseg.report.trust import trust_charts
from tfadvseg.run_folder import RunFolder, write_text
from tfadvseg.surface import DISTANCES

COLUMNS = {
    "miou": "MIOU",
    "dice": "DICE",
    "specificity": "S",
    "precision": "P",
    "recall": "recall",
    "hd95_mm": "HD95",
}
ALL_CLASSES = "(mean of all classes)"
MOST_PATIENTS = 30  # rows of a table
UNJUDGED = (
    "There are no scores: the run is not finished, or it has no validation and no test patient."
)
CURVES = (
    "Losses on a logarithmic scale, means over the steps since the validation before. D(label) and "
    "D(prediction) are the discriminator's mean outputs; kept is the share of unlabelled pixels "
    "whose pseudo-label was trusted."
)


def write_run_report(
    run: Path,
    *,
    content: Mapping[str, Any] | None = None,
    data: Path | None = None,
    checkpoint: str = "best",
    predictor: Predictor | None = None,
    file: Path | None = None,
) -> Path:
    """Writes the page of a run.

    Args:
        run: the run folder.
        content: scores as in `metrics.json`; None for those that are there, if any.
        data: where their cases lie; None for the run's own data folder.
        checkpoint: the model that they are of, `best` or `last`.
        predictor: with that model, where it is loaded already.
        file: to write; None for `report.html` in the run folder.

    Returns:
        The file that was written.

    Raises:
        InputError: if this is no run folder, or its scores are damaged.
    """
    folder = RunFolder(run)
    folder.read_config()
    result = None
    if content is not None:
        result = read_result(content)
    elif (run / "metrics.json").is_file():
        result = load_result(run / "metrics.json")
    file = file or run / "report.html"
    gallery = ""
    if result is not None:
        gallery = run_gallery(run, result, data=data, checkpoint=checkpoint, predictor=predictor)
    write_text(file, _page(folder, result, gallery))
    return file


def _page(folder: RunFolder, result: Result | None, gallery: str) -> str:
    config, history = folder.read_config(), read_history(folder.path)
    drawn = curves.run_curves(history)
    sections = [
        page.paragraph(_summary(config, history, result)),
        _warnings(history, config),
        page.section("Scores", _scores(result)) if result else "",
        page.section("Cases", gallery),
        page.section("Confidence", confidence(result)) if result else "",
        page.section("Training", drawn, page.paragraph(CURVES, "note")) if drawn else "",
        _trust(folder.path / "trust.json", history),
        page.section("Data", *_data(folder)),
        page.section("Settings", page.facts(_texts(dataclasses.asdict(config)))),
        page.section("Made with", page.facts(_texts(read_json(folder.path / "environment.json")))),
    ]
    return page.document(f"Run: {folder.path.resolve().name}", sections)


def _summary(config: Config, history: curves.History, result: Result | None) -> str:
    """What was trained, what became of it, and how good it is."""
    done = int(history[-1]["step"]) if history else 0
    sentences = [
        f"Recipe {config.recipe}, {config.model}, seed {config.seed}, "
        f"{done} of {config.steps} steps.",
        best_model(history),
        _headline(result) if result else UNJUDGED,
    ]
    return " ".join(filter(None, sentences))


def _warnings(history: curves.History, config: Config) -> str:
    """What `fit` warned of while it trained."""
    found = all_troubles(history, config.recipe, config.total_steps()).values()
    return page.items([f"Step {step}: {text}." for step, text in found], "warnings")


def _trust(file: Path, history: curves.History) -> str:
    if not file.is_file():
        return ""
    return page.section(
        "Pseudo-labels", trust_charts(read_json(file), history), page.paragraph(TRUST, "note")
    )


def _headline(result: Result) -> str:
    patients, cases = len(result.patients), len(result.cases)
    dice = result.values(FOREGROUND, "dice")
    average, ends = mean(dice), interval(dice)
    if average is None:
        return f"No foreground in the {cases} cases of the {result.split} split."
    sure = f"fewer than {FEWEST} patients give no interval"
    if ends is not None:
        sure = f"95% interval over the patients: {ends[0]:.3f} to {ends[1]:.3f}"
    return (
        f"Dice {average:.3f}, mean over the patients, on the {result.split} split, {cases} cases "
        f"of {patients} {'patient' if patients == 1 else 'patients'} ({sure})."
    )


def _scores(result: Result) -> str:
    how = "mean over their cases" if result.averaged else "their cases pooled"
    patients = Table(
        "patients",
        f"Mean and standard deviation over the patients ({how})",
        headings("", *COLUMNS.values()),
        tuple(
            (Cell(name), *(_over_patients(result, name, measure) for measure in COLUMNS))
            for name in (*result.classes[1:], FOREGROUND)
        ),
        "S is specificity, P precision; "
        + distance_note(measured=bool(result.values(FOREGROUND, "hd95_mm"))),
    )
    scores = {
        **result.pooled["per_class"],
        FOREGROUND: result.pooled["foreground"],
        ALL_CLASSES: result.pooled["all"],
    }
    pooled = Table(
        "pooled",
        "All voxels of all cases together",
        headings("", *(COLUMNS[measure] for measure in SCORES)),
        tuple(
            (Cell(name), *(Cell(number(values[measure])) for measure in SCORES))
            for name, values in scores.items()
        ),
    )
    return page.group(map(to_html, (patients, pooled, _patients(result))), "tables")


def _over_patients(result: Result, name: str, measure: str) -> Cell:
    return spread(result.values(name, measure), 1 if measure in DISTANCES else 3)


def _patients(result: Result) -> Table:
    """The patients, those with the lowest Dice first."""
    dice = {patient: scores[FOREGROUND]["dice"] for patient, scores in result.patients.items()}
    order = sorted(dice, key=lambda p: (dice[p] is None, dice[p] or 0, p))
    names = (*result.classes[1:], FOREGROUND)
    rows = tuple(
        (
            Cell(patient),
            *(Cell(number(result.patients[patient][name]["dice"])) for name in names),
            Cell(number(result.patients[patient][FOREGROUND]["hd95_mm"], 1)),
        )
        for patient in order[:MOST_PATIENTS]
    )
    left = len(order) - len(rows)
    return Table(
        "each_patient",
        "Dice of each patient, lowest first",
        headings("", *names, COLUMNS["hd95_mm"]),
        rows,
        f"{left} more patients with a higher Dice are in metrics.json." if left else "",
    )


def _data(folder: RunFolder) -> Sequence[str]:
    config, split = folder.read_config(), read_json(folder.path / "split.json")
    found = folder.read_outliers()
    left_out = "unlabelled" if found["names"] and found["excluded"] else None
    rows = tuple(
        (Cell(name), Cell(str(len(split["patients"][part]))), Cell(str(len(split[part]))))
        for part in ("labelled", "unlabelled", "val", "test")
        for name in [f"{part}, with those left out" if part == left_out else part]
    )
    table = Table("data", "", headings("", "patients", "images"), rows)
    names = ", ".join(split["patients"]["labelled"])
    extra = f" and {config.unlabelled}" if config.unlabelled else ""
    return (
        page.paragraph(f"{config.data}{extra}. Classes: {', '.join(config.classes or ())}."),
        to_html(table),
        page.paragraph(f"Labelled patients: {names}.{_unlike(found)}", "note"),
    )


def _unlike(found: Mapping[str, Any]) -> str:
    """Who they are, in words."""
    if not found["names"]:
        return ""
    used = "left out" if found["excluded"] else "used all the same"
    return f" Unlabelled patients unlike them, {used}: {', '.join(found['names'])}."


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value is not None
    }
