"""The documentation against the program: settings, commands, links, examples."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import yaml

from tfadvseg.cli import main
from tfadvseg.config import Config, read_settings
from tfadvseg.data.checks.check import check_data, summary
from tfadvseg.data.checks.findings import Finding
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image, Source
from tfadvseg.data.phantom import write_phantom
from tfadvseg.evaluation import score_cases
from tfadvseg.windows import PRESETS, limits

ROOT = Path(__file__).parent.parent
PATTERNS = ("*.md", "docs/*.md", "deploy/*/*.md", "benchmarks/*/*.md")
PAGES = sorted(page for pattern in PATTERNS for page in ROOT.glob(pattern))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def settings_rows():
    """Every row of the settings' tables: name -> (default, range, meaning)."""
    section = text_of("configuration").split("## Settings")[1].split("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        found = re.match(r"\| `(\w+)` \| `(.*?)` \| (.*?) \| (.*) \|$", line)
        if found:
            name, *cells = found.groups()
            assert name not in rows, name
            rows[name] = cells
    return rows


def commands(group=main, name="tfadvseg"):
    """Every command below a group: full name -> command."""
    found = {name: group}
    if isinstance(group, click.Group):
        for part, command in group.commands.items():
            found |= commands(command, f"{name} {part}")
    return found


def options():
    return [
        pytest.param(option, id=f"{name} {option.opts[-1]}")
        for name, command in commands().items()
        for option in command.params
        if isinstance(option, click.Option)
    ]


def links():
    return [
        pytest.param(page, target, id=f"{page.relative_to(ROOT)}: {target}")
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]


def anchors(page):
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pages_say_what_the_raw_files_say():
    """Those that `docs/results/make.py` writes from files that are all there."""
    call = [sys.executable, ROOT / "docs" / "results" / "make.py", "--check"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_method_says_of_outliers_what_was_measured():
    found = json.loads((ROOT / "docs" / "results" / "outliers.json").read_text())
    acdc, cta = found["acdc"], found["chd_cta"]
    strangers = [acdc["chd_cta"], acdc["cta_unlabelled"]]
    assert sum(one["outliers"] for one in strangers) == 13 == sum(s["patients"] for s in strangers)
    assert cta["acdc"] == {"patients": 8, "outliers": 8}
    assert acdc["its own unlabelled"] == {"patients": 65, "outliers": 0}
    assert cta["its own unlabelled"] == {"patients": 6, "outliers": 2}
    said = " ".join(text_of("method").split())
    assert "all 13 CT patients among cardiac MR and all 8 MR patients among CT" in said
    assert "none of the 65 unlabelled patients of ACDC, and 2 of the 6 of `cta_unlabelled`" in said


def test_the_method_has_the_constants_of_recipe_strong():
    from tfadvseg.models import teacher
    from tfadvseg.training import pseudo_labels

    text = (ROOT / "docs" / "method.md").read_text()
    assert f"right_k(x) >= {pseudo_labels.TARGET} }}" in text
    assert f"+  {teacher.DICE} L_dice" in text
    assert f"while L_D is below {teacher.ENOUGH} " in text


def test_every_setting_is_documented_in_the_order_of_the_code():
    assert list(settings_rows()) == [field.name for field in dataclasses.fields(Config)]


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_documented_defaults_and_ranges_are_true(field):
    default, span, meaning = settings_rows()[field.name]
    actual = list(field.default) if isinstance(field.default, tuple) else field.default
    documented = yaml.safe_load(default)
    assert documented == actual and type(documented) is type(actual)
    limits = field.metadata
    for choice in limits["choices"] or ():
        assert f"`{choice}`" in span
    for bound in (limits["low"], limits["high"]):
        assert bound is None or re.search(rf"(?<![\d.]){bound}(?![\d.])", span), span
    assert ("above" in span) == limits["positive"]
    assert meaning.endswith(".")


def test_example_phantom_is_what_fit_does_without_arguments():
    packaged, example = (
        read_settings(ROOT / folder / "phantom.yaml") for folder in ("tfadvseg", "examples")
    )
    assert packaged == example


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_and_is_documented(name):
    assert commands()[name].help
    assert re.search(rf"\b{name}\b", TEXT)


@pytest.mark.parametrize("option", options())
def test_every_option_has_help_and_is_documented(option):
    assert option.help
    assert re.search(rf"(?<![\w-]){option.opts[-1]}(?![\w-])", TEXT), option.opts


@pytest.mark.parametrize(("page", "target"), links())
def test_relative_links_resolve(page, target):
    path, _, anchor = target.partition("#")
    destination = (page.parent / path).resolve() if path else page
    assert destination.exists()
    assert ROOT in destination.parents
    assert not anchor or anchor in anchors(destination)


def test_example_of_metrics_json_is_what_score_cases_returns(tmp_path):
    """The example's two cases; each image holds what is predicted for it."""
    truth, predicted = np.zeros((2, 1, 10, 10), np.uint8)
    truth[0, 0, 0:10], predicted[0, 0, 2:10], predicted[0, 1, 0:2] = 1, 1, 1
    grid = Geometry((10, 10, 1), (1.5, 1.5, 3.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    cases = []
    for name, mask, image in (("p1_ct", truth, predicted), ("p2_ct", *[truth * 0] * 2)):
        paths = [tmp_path / f"{name}_{part}.nii.gz" for part in ("image", "mask")]
        for path, voxels in zip(paths, (image, mask), strict=True):
            write_volume(path, Image(voxels, grid))
        cases.append(Case(name, Source((paths[0],)), paths[1], name.split("_")[0]))

    class Perfect:
        config = Config(classes=("background", "vessel"), ignore_label=255)

        def segment(self, image):
            return image.voxels[..., 0]

    documented = json.loads(re.findall(r"```json\n(.*?)```", text_of("metrics"), re.DOTALL)[-1])
    assert rounded(score_cases(Perfect(), cases, "test")) == documented


def test_presets_of_windows_are_documented_with_their_numbers():
    for name, (centre, width) in PRESETS.items():
        low, high = limits(name)
        row = f"| `{name}` | C{centre:g} W{width:g}: {low:g} to {high:g} HU |"
        assert row in text_of("configuration")


def test_all_that_the_data_check_tells_is_documented(tmp_path):
    for kind in re.findall(r"`(\w+)`", Finding.__doc__):
        assert f"| `{kind}` |" in text_of("data_check"), kind
    write_phantom(tmp_path / "data", patients=3, slices=1, size=32)
    content = summary(check_data(Config(data=str(tmp_path / "data"))))
    blocks = (content, content["per_case"][0], content["classes"][0], *content["warnings"])
    missing = {key for block in blocks for key in block if f'"{key}":' not in text_of("data_check")}
    assert content["warnings"] and not missing


def text_of(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value
