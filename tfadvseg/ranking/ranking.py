"""The ranking of a pool: every case with its place, what it would teach, and how new it is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.data.folders.cases import Case
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.preparation import check_cases
from tfadvseg.progress import Progress, silent
from tfadvseg.ranking.measures import INGREDIENTS
from tfadvseg.ranking.observer import TINY, Observer, Survey
from tfadvseg.ranking.pool import Pool, find_pool
from tfadvseg.ranking.selection import benefits, choose, directions, shares
from tfadvseg.run_folder import RunFolder, write_whole


@dataclass(frozen=True)
class Ranked:
    """A case in its place.

    Attributes:
        case: the image.
        rank: place among the cases, from 1 on.
        patient_rank: place of its patient, if patients are labelled whole.
        patient_benefit: how much is not known of all images of its patient together.
        patient_novelty: as `novelty`, of its patient among patients.
        patient_gain: as `gain`, of its patient among patients.
        benefit: how much is not known of it; 1 is the average of the pool.
        novelty: from 0, like an image that is labelled or ranked before, to 1.
        gain: share of all that is not known of the pool which its label would teach, after those
            of the cases before it.
        slice_number: the slice of its file of which least is known, from 1 on.
        slices: how many it has.
        shares: (3, F) of the ingredients and the foreground classes.
    """

    case: Case
    rank: int
    patient_rank: int
    patient_benefit: float
    patient_novelty: float
    patient_gain: float
    benefit: float
    novelty: float
    gain: float
    slice_number: int
    slices: int
    shares: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """A ranked pool.

    Attributes:
        cases: in the order of their ranks.
        classes: names of the foreground classes.
        ingredients: names of those that are known; without averaged weights (`averaging: 0`) there
            is no teacher, and no disagreement.
        pool: what was ranked, and what was left out.
    """

    cases: tuple[Ranked, ...]
    classes: tuple[str, ...]
    ingredients: tuple[str, ...]
    pool: Pool


def rank(run: Path, root: Path, progress: Callable[[str], Progress] = lambda _: silent) -> Ranking:
    """Ranks the unlabelled images of a folder by what their labels would teach the model of a run.

    Args:
        run: the run folder; its best model looks at the images.
        root: a data folder, whose images without a mask are ranked, or a folder of images.
        progress: makes, of what is being done, what shows how far it has come.

    Raises:
        InputError: if there is no such run or folder, no calibration, nothing to label, or an
            image that cannot be read or does not fit the model.
    """
    config = RunFolder(run).read_config()
    calibration, pool = Calibration.read(run), find_pool(run, root)
    check_cases(pool.cases, config, progress("Reading"))
    observer = Observer(Predictor.load(run), calibration)
    seen = observer.survey(pool.cases, progress("Ranking"))
    known = seen.of_no_cases()
    if pool.labelled:
        known = observer.survey(pool.labelled, progress("Comparing"))
    ingredients = tuple(n for n in INGREDIENTS if n != "disagreement" or observer.has_teacher)
    return Ranking(_ranked(pool, seen, known), (config.classes or ())[1:], ingredients, pool)


def _ranked(pool: Pool, seen: Survey, known: Survey) -> tuple[Ranked, ...]:
    """Every case in its place; `known` are the labelled cases."""
    typical = seen.measures.sizes.mean(axis=0)
    per_slice = benefits(shares(seen.measures, typical))
    cases = seen.measures.summed(seen.case_of)
    missing = shares(cases, typical)
    benefit = benefits(missing)
    patients, labelled = ([case.patient for case in c] for c in (pool.cases, pool.labelled))
    alike = directions(seen.features), patients, directions(known.features), labelled
    choice = choose(benefit, *alike)
    of_patient = _rank_patients(patients, seen, labelled, known)
    result = []
    for place, index in enumerate(choice.order, start=1):
        own = np.flatnonzero(seen.case_of == index)
        ranked = Ranked(
            pool.cases[index],
            place,
            *of_patient[patients[index]],
            float(benefit[index]),
            float(choice.novelty[index]),
            float(choice.gain[index]),
            int(per_slice[own].argmax()) + 1,
            len(own),
            missing[index],
        )
        result.append(ranked)
    return tuple(result)


def _rank_patients(
    patients: Sequence[str], seen: Survey, labelled: Sequence[str], known: Survey
) -> dict[str, tuple[int, float, float, float]]:
    """Place, benefit, novelty and gain of each patient: chosen as cases are, all of his as one."""
    new, old = Patients.seen(patients, seen), Patients.seen(labelled, known)
    choice = choose(new.benefit, new.features, new.names, old.features, old.names)
    figures = zip(new.benefit.tolist(), choice.novelty.tolist(), choice.gain.tolist(), strict=True)
    places = np.argsort(choice.order) + 1
    return {
        name: (int(place), *own)
        for name, place, own in zip(new.names, places, figures, strict=True)
    }


@dataclass(frozen=True)
class Patients:
    """What was seen of patients, all cases of each as one.

    Attributes:
        names: of the patients, sorted.
        benefit: (N,) how much is not known of each; 1 is the average of them.
        features: (N, K) of each, of length 1.
    """

    names: list[str]
    benefit: np.ndarray
    features: np.ndarray

    @classmethod
    def seen(cls, owners: Sequence[str], survey: Survey) -> Patients:
        """The patients of surveyed cases; `owners` has the name of each case's."""
        names, index = np.unique(owners, return_inverse=True)
        features = _features(survey, index, len(names))
        if not len(names):
            return cls([], np.zeros(0), features)
        measures = survey.measures.summed(index[survey.case_of])
        benefit = benefits(shares(measures, survey.measures.sizes.mean(axis=0)))
        return cls(names.tolist(), benefit, features)


def _features(survey: Survey, groups: np.ndarray, number: int) -> np.ndarray:
    """The directions (number, K) of groups of cases, averaged over their foreground."""
    weights = np.maximum(survey.foreground, TINY)
    sums = np.zeros((number, survey.features.shape[1]))
    np.add.at(sums, groups, survey.features * weights[:, np.newaxis])
    return directions(sums)


def write_csv(ranking: Ranking, file: Path) -> None:
    """Writes a row for each case, in the order of the ranks."""
    rows = [_row(ranked, ranking) for ranked in ranking.cases]

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_whole(file, write)


def _row(ranked: Ranked, ranking: Ranking) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": ranked.rank,
        "case": ranked.case.name,
        "file": str(ranked.case.image.path),
        "patient": ranked.case.patient,
        "patient_rank": ranked.patient_rank,
        "patient_benefit": _number(ranked.patient_benefit),
        "patient_novelty": _number(ranked.patient_novelty),
        "patient_gain": _number(ranked.patient_gain),
        "slice": ranked.slice_number,
        "benefit": _number(ranked.benefit),
        "novelty": _number(ranked.novelty),
        "gain": _number(ranked.gain),
    }
    for ingredient, values in zip(INGREDIENTS, ranked.shares, strict=True):
        if ingredient in ranking.ingredients:
            named = zip(ranking.classes, values, strict=True)
            row |= {f"{ingredient} {name}": _number(value) for name, value in named}
    return row


def _number(value: float) -> str:
    return f"{value:.4f}"
