"""Findings: what a check of the cases has to say, by kind and in one line each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tfadvseg.data.checks.facts import CaseFacts
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.folders.split import Split

PARTS = ("labelled", "unlabelled", "val", "test")
MOST_CHARACTERS = 600
SEVERAL = {"file": "cannot be used", "reading": "were read with a remark"}

Parts: TypeAlias = Mapping[str, Sequence[CaseFacts]]


@dataclass(frozen=True)
class Finding:
    """Something wrong or odd.

    Attributes:
        kind: a word that does not change: of errors `file`, `class`, `channels`, `leak`; of
            warnings `folder`, `reading`, `left_out`, `no_mask`, `constant`, `empty`, `spacing`,
            `orientation`, `patients`, `windowing`, `absent`, `rare`, `twice`.
        text: what, and how to mend it; one line.
        cases: names of the cases that it is about; none where it is about all.
    """

    kind: str
    text: str
    cases: tuple[str, ...] = ()


def by_part(split: Split, facts: Iterable[CaseFacts]) -> dict[str, list[CaseFacts]]:
    """The facts of the cases of each part: `labelled`, `unlabelled`, `val` and `test`."""
    part_of = {case: part for part in PARTS for case in getattr(split, part)}
    parts: dict[str, list[CaseFacts]] = {part: [] for part in PARTS}
    for fact in facts:
        if fact.case in part_of:
            parts[part_of[fact.case]].append(fact)
    return parts


def unusable(broken: Mapping[Case, str]) -> list[Finding]:
    """One error for each case that could not be read (`facts.inspect_all`)."""
    return [Finding("file", text, (case.name,)) for case, text in broken.items()]


def class_names(
    facts: Iterable[CaseFacts], classes: Sequence[str] | None, ignore_label: int
) -> tuple[str, ...]:
    """The names of the classes, else as many as the masks show; `background` if none does."""
    if classes is not None:
        return tuple(classes)
    seen = {index for fact in facts for index in fact.labels or ()} - {ignore_label}
    return ("background", *(f"class {i}" for i in range(1, max(seen, default=0) + 1)))


def about(kind: str, facts: Sequence[CaseFacts], text: str) -> list[Finding]:
    """One finding about some cases; none where there are no such cases."""
    return [Finding(kind, text, tuple(fact.case.name for fact in facts))] if facts else []


def alike(one: Case, other: Case) -> str:
    """Two cases with the same picture: by their names, where these are the same with folders."""
    names = [one.name, other.name]
    if one.name == other.name:  # not the file's name, which may tell who the patient is
        folders = [case.image.path.parent.resolve() for case in (one, other)]
        shared = os.path.commonpath(folders)
        names = [str(folder.relative_to(shared) / one.name) for folder in folders]
    return " = ".join(names)


def has_foreground(fact: CaseFacts, ignore_label: int) -> bool:
    """Whether a mask shows a class that counts, other than the background."""
    return any(index not in (0, ignore_label) for index in fact.labels or ())


def lines(findings: Iterable[Finding]) -> list[str]:
    """The findings for the terminal, those about single files in one line of a kind.

    Returns:
        Lines that name as many files as about 600 characters hold, and how many more there are.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for number, finding in enumerate(findings):
        kinds[finding.kind if finding.kind in SEVERAL else str(number)].append(finding.text)
    return [t[0] if len(t) == 1 else _joined(t, SEVERAL[kind]) for kind, t in kinds.items()]


def _joined(texts: Sequence[str], what: str) -> str:
    """Texts that begin with a file in one line; the folder that they share is named once."""
    folder = os.path.commonprefix(texts).rpartition(os.sep)[0]
    entries = [text.removeprefix(folder + os.sep) for text in texts]
    line = f"{len(texts)} files{' in ' + folder if folder else ''} {what}: {entries[0]}"
    for number, entry in enumerate(entries[1:], start=1):
        if len(line) + len(entry) > MOST_CHARACTERS:
            return f"{line}; and {len(texts) - number} more"
        line += f"; {entry}"
    return line
