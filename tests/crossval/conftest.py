"""Patients that exist on paper only."""

from fractions import Fraction

import pytest

from tfadvseg.config import Config
from tfadvseg.crossval.material import Material
from tfadvseg.crossval.plan import Wanted
from tfadvseg.crossval.planning import make_plan


@pytest.fixture
def material():
    """Makes the material of a sweep: 12 patients of 10 slices, unless told otherwise."""

    def make(classes_of=None, *, patients=12, groups=None, unlabelled=(), **settings):
        if classes_of is None:
            classes_of = {f"p{number:02d}": {1, 2} for number in range(patients)}
        groups = groups or {patient: (patient,) for patient in classes_of}
        images = {patient: 10 for members in groups.values() for patient in members}
        config = Config(data="data", classes=("background", "a", "b"), channels=1, **settings)
        seen = {patient: frozenset(classes) for patient, classes in classes_of.items()}
        return Material(config, groups, seen, images, frozenset(unlabelled))

    return make


@pytest.fixture
def wanted():
    """Makes what is asked for: three folds, all and half of the labels, all recipes."""

    def make(folds=3, fractions="1,1/2", recipes="supervised,adversarial,paper", seeds=1):
        values = tuple(Fraction(text) for text in fractions.split(","))
        return Wanted(folds, values, tuple(recipes.split(",")), ("unet",), seeds)

    return make


@pytest.fixture
def plan(material, wanted):
    """Six trainings: three folds, half of the labels, two recipes."""
    return make_plan(material(steps=10), wanted(fractions="1/2", recipes="paper"))
