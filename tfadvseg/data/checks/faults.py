"""What is wrong with the cases of a split: training on them would fail or its scores lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from tfadvseg.config import DEFAULT_IGNORE_LABEL
from tfadvseg.data.checks.facts import CaseFacts
from tfadvseg.data.checks.findings import Finding, Parts, about, alike, has_foreground
from tfadvseg.data.folders.text import some

MOST_UNNAMED = 64  # values of a mask whose classes nobody names


def find_errors(
    parts: Parts,
    *,
    classes: Sequence[str] | None = None,
    ignore_label: int = DEFAULT_IGNORE_LABEL,
    channels: int | None = None,
) -> list[Finding]:
    """What makes the cases useless for training or the scores untrue.

    Args:
        parts: facts by part of the split, as `by_part` gives them.
        classes: names of the classes; None where the masks decide.
        ignore_label: mask value that is no class.
        channels: of every image; None for what most images have.
    """
    facts = [fact for part in parts.values() for fact in part]
    return [
        *_classes(parts, classes, ignore_label),
        *_other_channels(facts, channels),
        *_leaks(parts),
    ]


def _classes(parts: Parts, classes: Sequence[str] | None, ignore_label: int) -> list[Finding]:
    void = _no_class(parts, ignore_label)
    if void:
        return void
    facts = [fact for part in parts.values() for fact in part]
    if classes is None:
        return _too_many_values(facts)
    return _unknown_classes(facts, classes, ignore_label)


def _no_class(parts: Parts, ignore_label: int) -> list[Finding]:
    """Masks of which nothing can be learnt; those that only judge a model may be empty."""
    training = [fact for part in parts if part not in ("val", "test") for fact in parts[part]]
    masks = [fact for fact in training if fact.labels is not None]
    if any(has_foreground(fact, ignore_label) for fact in masks):
        return []
    ignored = sum(ignore_label in (fact.labels or ()) for fact in masks)
    text = f"every mask to train on is empty ({len(masks)} masks); expected a class index above 0"
    if ignored:
        mend = (
            "set another ignore_label"
            if ignore_label == 1
            else f"write 1 instead of {ignore_label}"
        )
        text = (
            f"no mask to train on shows a class: {ignored} of {len(masks)} hold 0 and "
            f"{ignore_label} alone, and {ignore_label} is the ignored value; {mend}"
        )
    return about("class", masks, text)


def _too_many_values(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Where nobody names the classes, an image in place of a mask would make up hundreds."""
    wrong = [fact for fact in facts if len(fact.labels or ()) > MOST_UNNAMED]
    most = max((len(fact.labels or ()) for fact in wrong), default=0)
    return about(
        "class",
        wrong,
        f"{some([str(fact.case.mask) for fact in wrong])}: {most} values, expected at most "
        f"{MOST_UNNAMED} in a mask whose classes have no names: an image in place of a mask? If "
        "they are classes, name them in dataset.json",
    )


def _unknown_classes(
    facts: Sequence[CaseFacts], classes: Sequence[str], ignore_label: int
) -> list[Finding]:
    beyond = set(range(len(classes), 256)) - {ignore_label}
    wrong = [fact for fact in facts if beyond & set(fact.labels or ())]
    highest = max((index for fact in wrong for index in beyond & set(fact.labels or ())), default=0)
    return about(
        "class",
        wrong,
        f"{some([str(fact.case.mask) for fact in wrong])}: class index {highest} is beyond the "
        f"{len(classes)} classes ({some(classes)}); mend the mask, or name all classes in "
        "dataset.json",
    )


def _other_channels(facts: Sequence[CaseFacts], expected: int | None) -> list[Finding]:
    if not facts:
        return []
    usual = expected or Counter(fact.channels for fact in facts).most_common(1)[0][0]
    wrong = [fact for fact in facts if fact.channels != usual]
    like = next(
        (f" as in {fact.case.image.path.name}" for fact in facts if fact.channels == usual), ""
    )
    received = " or ".join(map(str, sorted({fact.channels for fact in wrong})))
    return about(
        "channels",
        wrong,
        f"{some([str(fact.case.image.path) for fact in wrong])}: {received} channel(s), expected "
        f"{usual}{like}; convert all images to one kind",
    )


def _leaks(parts: Parts) -> list[Finding]:
    """The same picture on two sides of the split; a constant one is nobody's."""
    known = {
        part: {fact.digest: fact for fact in facts if not fact.constant}
        for part, facts in parts.items()
    }
    findings = []
    for one, other in combinations(known, 2):
        if {one, other} == {"labelled", "unlabelled"}:
            continue
        pairs = [(known[one][d], known[other][d]) for d in known[one] if d in known[other]]
        names = some([alike(a.case, b.case) for a, b in pairs])
        text = (
            f"the same pictures in {one} and {other} ({len(pairs)}): {names}; the scores would be "
            "too good, take them out of one"
        )
        findings += about("leak", [fact for pair in pairs for fact in pair], text)
    return findings
