"""What the comparisons mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfadvseg.report.comparisons import Comparison
from tfadvseg.report.statistics import FEWEST, SIGNIFICANT
from tfadvseg.report.sweep import BASELINE, MODELS, Setting, Sweep, labels_text

HELPED, HARMED, OPEN, TOO_FEW, NONE = "helped", "harmed", "open", "too few", "none"
ON_HELP = {
    HELPED: "the unlabelled images helped",
    HARMED: "the unlabelled images made it worse",
    OPEN: "no effect can be shown",
}
# Where the comparison with a recipe that has D, too, but no unlabelled image, says otherwise.
BY_RECIPE = {
    HELPED: "helped, but that is not shown to come from the unlabelled images",
    HARMED: "made it worse, but that is not shown to come from the unlabelled images",
}
ON_LEVEL = {
    HELPED: "better than all labels",
    HARMED: "worse than all labels",
    OPEN: "no difference from all labels can be shown",
}
NO_CONCLUSION = "nothing can be concluded from so few patients"
NOT_YET = "cannot be judged yet"


@dataclass(frozen=True)
class Answer:
    """A sentence with its verdict first, and what stands behind it.

    Attributes:
        verdict: see `verdict`.
        lead: what was found, in words.
        detail: by how much, and how sure.
    """

    verdict: str
    lead: str
    detail: str = ""

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.lead}. {self.detail}".strip()


def verdict(comparison: Comparison) -> str:
    """What a comparison of scores (higher is better) shows.

    Returns:
        `helped` or `harmed` if p (Holm) is at most 0.05 and the interval leaves out 0; else `open`
        (no difference is shown), `too few` (patients, for any result to be sure), or `none` (no
        pair of runs is finished).
    """
    found, p = comparison.found, comparison.p_holm
    if found.mean is None or p is None:
        return NONE
    if found.low is None or found.high is None or comparison.smallest_p > SIGNIFICANT:
        return TOO_FEW
    if p > SIGNIFICANT or found.low <= 0 <= found.high:
        return OPEN
    return HELPED if found.mean > 0 else HARMED


def did_unlabelled_help(sweep: Sweep, comparisons: Sequence[Comparison]) -> list[Answer]:
    """Whether the unlabelled images helped, for every model and label fraction.

    Args:
        sweep: with its plan.
        comparisons: of recipes with the same labels, by Dice.
    """
    found = []
    for model, fraction in dict.fromkeys((s.model, s.fraction) for s in sweep.settings()):
        own = [s for s in sweep.settings() if (s.model, s.fraction) == (model, fraction)]
        start = _start(sweep, model, fraction)
        users = [setting for setting in own if setting.uses_unlabelled]
        found += [_answer(start, setting, comparisons) for setting in users]
        if not users:
            found.append(Answer(NONE, f"{start}: no run used unlabelled images"))
    return found


def reaches_all_labels(sweep: Sweep, comparisons: Sequence[Comparison]) -> list[Answer]:
    """How settings with unlabelled images and fewer labels compare with all labels.

    Args:
        sweep: with its plan.
        comparisons: with supervision by all labels, by Dice.
    """
    return [
        Answer(
            verdict(c),
            f"{_start(sweep, c.setting.model, c.setting.fraction)}, {c.setting.recipe}: "
            f"{_said(c, ON_LEVEL)}",
            _size("Dice is", c, f"with {c.against.recipe} and all labels"),
        )
        for c in comparisons
        if c.setting.uses_unlabelled
    ]


def _start(sweep: Sweep, model: str, fraction: str) -> str:
    text = labels_text(fraction)
    if len({setting.model for setting in sweep.settings()}) > 1:
        return f"{MODELS.get(model, model)}, {text}"
    return text[:1].upper() + text[1:]


def _answer(start: str, setting: Setting, comparisons: Sequence[Comparison]) -> Answer:
    """Against supervision, then against a recipe with D, but without unlabelled images."""
    ours = [c for c in comparisons if c.setting == setting]
    main = next((c for c in ours if c.against.trained_as == BASELINE), None)
    if main is None:
        return Answer(NONE, f"{start}: no {BASELINE} run to compare {setting.recipe} with")
    alone = [
        c for c in ours if c is not main and not c.against.uses_unlabelled and verdict(c) != NONE
    ]
    found, said = verdict(main), _said(main, ON_HELP)
    if found in BY_RECIPE and any(verdict(c) != found for c in alone):
        said = f"{setting.recipe} {BY_RECIPE[found]}"
    sizes = [_size(f"With {setting.recipe}, Dice is", main, f"with {BASELINE}")]
    what = "By the unlabelled images alone"
    if setting.recipe == "strong":  # whose D is not quite that of the other recipes
        what = "By what strong adds to adversarial training"
    sizes += [_size(f"{what}, it is", c, f"with {c.against.recipe}") for c in alone]
    return Answer(found, f"{start}: {said}", " ".join(sizes))


def _said(comparison: Comparison, words: dict[str, str]) -> str:
    others = {TOO_FEW: NO_CONCLUSION, NONE: NOT_YET}
    return {**words, **others}[verdict(comparison)]


def _size(start: str, comparison: Comparison, baseline: str) -> str:
    """How large a difference in Dice is, and how sure."""
    found, progress = comparison.found, f"{comparison.pairs} of {comparison.planned} pairs of runs"
    if found.mean is None:
        return f"{progress} are finished."
    sure = [_interval(comparison), f"higher in {found.higher} of {_patients(found.patients)}"]
    sure.append(f"p {_p(comparison.p_holm)}")
    if verdict(comparison) == TOO_FEW:
        sure.append(f"p {_p(comparison.smallest_p)} at best, if all agreed")
    if comparison.pairs < comparison.planned:
        sure.append(f"from {progress} so far")
    return f"{start} {_points(found.mean)} than {baseline} ({'; '.join(sure)})."


def _interval(comparison: Comparison) -> str:
    low, high = comparison.found.low, comparison.found.high
    if low is None or high is None:
        return f"fewer than {FEWEST} patients give no interval"
    if low * high < 0:
        return f"95% interval {_points(low)} to {_points(high)}"
    near, far = sorted((low, high), key=abs)
    return f"95% interval {abs(near) * 100:.1f} to {_points(far)}"


def _points(value: float) -> str:
    """A difference of scores in points of 0.01."""
    return f"{abs(value) * 100:.1f} points {'lower' if value < 0 else 'higher'}"


def _patients(number: int) -> str:
    return "1 patient" if number == 1 else f"{number} patients"


def _p(p: float | None) -> str:
    if p is None:
        return "unknown"
    return "below 0.001" if p < 0.001 else f"= {p:.2g}"
