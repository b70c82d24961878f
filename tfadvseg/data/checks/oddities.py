"""What is odd about the cases of a split: allowed, but a careful user wants to know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfadvseg.config import DEFAULT_IGNORE_LABEL
from tfadvseg.data.checks.facts import CaseFacts
from tfadvseg.data.checks.findings import Finding, Parts, about, alike, class_names, has_foreground
from tfadvseg.data.folders.text import shown, some
from tfadvseg.data.geometry import SAME_SPACING

SATURATION_GAP = 0.3  # share of pixels
MEDIAN_GAP = 64  # grey values of 256


def find_warnings(
    parts: Parts,
    *,
    classes: Sequence[str] | None = None,
    ignore_label: int = DEFAULT_IGNORE_LABEL,
    folds: int | None = None,
) -> list[Finding]:
    """What is allowed, but that a careful user wants to know.

    Args:
        parts: facts by part of the split, as `by_part` gives them.
        classes: names of the classes; None where the masks decide.
        ignore_label: mask value that is no class.
        folds: of the cross-validation to come; None for none.
    """
    facts = [fact for part in parts.values() for fact in part]
    names = class_names(facts, classes, ignore_label)
    return [
        *_without_masks(facts),
        *_constant(facts),
        *_empty(facts, ignore_label),
        *_spacings(facts),
        *_orientations(facts),
        *_one_patient(facts),
        *_windowing(facts),
        *_absent(parts["labelled"], names),
        *_rare(facts, names, folds),
        *_twice(parts),
    ]


def _twice(parts: Parts) -> list[Finding]:
    """The same picture again on one side of the split; labelled and unlabelled are one side."""
    groups: dict[tuple[str, str], list[CaseFacts]] = defaultdict(list)
    for part, facts in parts.items():
        side = "training" if part in ("labelled", "unlabelled") else part
        for fact in facts:
            if not fact.constant:
                groups[side, fact.digest].append(fact)
    several = [group for group in groups.values() if len(group) > 1]
    across = any(len({fact.case.patient for fact in group}) > 1 for group in several)
    risk = ", even of different patients, whom a split may part" if across else ""
    names = some([alike(group[0].case, group[1].case) for group in several])
    text = f"the same pictures more than once{risk} ({len(several)}): {names}; keep one of each"
    return about("twice", [fact for group in several for fact in group], text)


def _without_masks(facts: Sequence[CaseFacts]) -> list[Finding]:
    if not facts or any(fact.labels is not None for fact in facts):
        return []
    return [Finding("no_mask", "no image has a mask: there is nothing to learn from")]


def _constant(facts: Sequence[CaseFacts]) -> list[Finding]:
    found = [fact for fact in facts if fact.constant]
    names = some([fact.case.name for fact in found])
    return about(
        "constant", found, f"{len(found)} of {len(facts)} images hold one value only: {names}"
    )


def _empty(facts: Sequence[CaseFacts], ignore_label: int) -> list[Finding]:
    masks = [fact for fact in facts if fact.labels is not None]
    found = [fact for fact in masks if not has_foreground(fact, ignore_label)]
    ignored = sum(ignore_label in (fact.labels or ()) for fact in found)
    but = f", {ignored} of them hold the ignored value {ignore_label}" if ignored else ""
    names = some([fact.case.name for fact in found])
    return about(
        "empty", found, f"{len(found)} of {len(masks)} masks have no foreground{but}: {names}"
    )


def _spacings(facts: Sequence[CaseFacts]) -> list[Finding]:
    known = [fact.spacing_mm for fact in facts if fact.spacing_mm is not None]
    if not known:
        return []
    if len(known) < len(facts):
        text = (
            f"{len(facts) - len(known)} of {len(facts)} images are pictures without spacing, the "
            "others have one; keep one kind"
        )
        return [Finding("spacing", text)]
    low, high = np.min(known, axis=0), np.max(known, axis=0)
    if (high <= low * (1 + SAME_SPACING)).all():
        return []
    text = (
        f"spacings differ, from {_by(low)} to {_by(high)} mm (slices, rows, columns): a pixel is "
        "not the same length everywhere; set spacing_mm to train at one pixel size"
    )
    return [Finding("spacing", text)]


def _orientations(facts: Sequence[CaseFacts]) -> list[Finding]:
    counts = Counter(fact.orientation for fact in facts if fact.orientation)
    if len(counts) < 2:
        return []
    sides = ", ".join(f"{code} in {number}" for code, number in counts.most_common(5))
    text = (
        f"the axes of the files point to different sides, {sides}; slices are turned alike, but "
        "look whether left is left in all of them"
    )
    return [Finding("orientation", text)]


def _one_patient(facts: Sequence[CaseFacts]) -> list[Finding]:
    patients = {fact.case.patient for fact in facts if fact.labels is not None}
    if len(patients) != 1:
        return []
    text = (
        f"only one patient has masks, {shown(patients.pop())}: none is left to validate on; label "
        "a second one, or tell the patients apart in cases.csv"
    )
    return [Finding("patients", text)]


def _windowing(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Patients whose 8-bit images seem to show another window of intensities than the others'.

    Each patient counts by the median, over its images, of the share of pixels at 0 or 255, and of
    the median grey value. The patients in order of one of these numbers fall into groups where
    neighbours are more than `SATURATION_GAP` or `MEDIAN_GAP` apart: organs, gain and field of view
    spread such numbers, but leave no such gap. The largest group is the usual one. Who is not in
    it is named once, and counts no more in the other number.
    """
    patients: dict[str, list[CaseFacts]] = defaultdict(list)
    for fact in facts:
        if fact.saturated is not None and not fact.constant:
            patients[fact.case.patient].append(fact)
    shares, medians = {}, {}
    for patient, images in patients.items():
        shares[patient] = 100 * float(np.median([fact.saturated or 0.0 for fact in images]))
        medians[patient] = float(np.median([fact.intensity.median for fact in images]))
    black = _unlike_most(shares, 100 * SATURATION_GAP)
    grey = _unlike_most({p: medians[p] for p in patients if p not in black}, MEDIAN_GAP)
    rest = [patient for patient in patients if patient not in (*black, *grey)]
    findings = []
    for numbers, few, meaning in (
        (shares, black, "percent of the pixels are black or white (0 or 255)"),
        (medians, grey, "is the median grey value"),
    ):
        if few:
            text = (
                f"8-bit images of {len(few)} patients ({some(few)}) seem to be windowed unlike the "
                f"{len(rest)} others: {_span(numbers, few)} {meaning}, against "
                f"{_span(numbers, rest)}; window all alike, from the original values"
            )
            findings += about("windowing", [f for name in few for f in patients[name]], text)
    return findings


def _unlike_most(numbers: Mapping[str, float], gap: float) -> list[str]:
    """The names outside the largest group, where neighbours in a group are at most a gap apart."""
    groups: list[list[str]] = []
    for name in sorted(numbers, key=lambda name: numbers[name]):
        if not groups or numbers[name] - numbers[groups[-1][-1]] > gap:
            groups.append([])
        groups[-1].append(name)
    usual = max(groups, key=len, default=[])
    return [name for group in groups if group is not usual for name in group]


def _absent(labelled: Sequence[CaseFacts], names: Sequence[str]) -> list[Finding]:
    seen = {index for fact in labelled for index in fact.labels or ()}
    absent = [name for index, name in enumerate(names) if index and index not in seen]
    if not absent or not labelled:
        return []
    text = f"{some(absent)}: in none of the {len(labelled)} masks to train on, so not to be learnt"
    return [Finding("absent", text)]


def _rare(facts: Sequence[CaseFacts], names: Sequence[str], folds: int | None) -> list[Finding]:
    """Classes that some fold of a cross-validation cannot hold; it takes whole patients."""
    owners = {
        name: {fact.case.patient for fact in facts if index in (fact.labels or ())}
        for index, name in enumerate(names)
        if index
    }
    rare = [f"{name} {len(p)}" for name, p in owners.items() if p and len(p) < (folds or 0)]
    if not rare:
        return []
    text = (
        f"classes in the masks of fewer patients than the {folds} folds of a cross-validation "
        f"({some(rare)}): some folds cannot test them; label more patients or take fewer folds"
    )
    return [Finding("rare", text)]


def _by(numbers: Iterable[float]) -> str:
    return "x".join(f"{number:.3g}" for number in numbers)


def _span(numbers: Mapping[str, float], names: Sequence[str]) -> str:
    values = [round(numbers[name]) for name in names]
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
