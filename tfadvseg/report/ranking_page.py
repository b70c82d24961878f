"""The page of `tfadvseg rank`: the first images to label, and what is doubtful in them."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path

import numpy as np

from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.progress import Progress, silent
from tfadvseg.ranking.ranking import Ranked, Ranking
from tfadvseg.report import page
from tfadvseg.report.cases import Slice
from tfadvseg.report.contact_sheet import MOST_PICTURES, SIDE
from tfadvseg.report.table import Table, headings, to_html

MOST_PATIENTS = 20


def ranking_page(ranking: Ranking, run: Path, progress: Progress = silent) -> str:
    """A page of HTML that needs nothing but itself.

    Args:
        ranking: of `ranking.rank`.
        run: the run folder that it was made with.
        progress: wraps the images to show how far drawing has come.
    """
    shown = ranking.cases[:MOST_PICTURES]
    predictor, calibration = Predictor.load(run), Calibration.read(run)
    figures = [_figure(one, predictor, calibration) for one in progress(shown, len(shown))]
    intro = (
        "First comes what should teach most: what the model does not know, and what is like many "
        "others that it does not know. Gain: the share of all that is not known which its label "
        "teaches beside those before it. Benefit: how much is not known of it, 1 is the average. "
        "Novelty: from 0, like one that is labelled or ranked before, to 1. Of a volume the slice "
        "of which least is known is shown: the prediction, and the probability that it is wrong."
    )
    scale = '<span class="key">probability of being wrong 0 <span class="scale"></span> 1</span>'
    legend = f'<p class="legend">{page.class_legend(ranking.classes)}{scale}</p>\n'
    of = f" of {len(ranking.cases)}" if len(shown) < len(ranking.cases) else ""
    sections = (
        page.paragraph(intro),
        *map(page.paragraph, ranking.pool.notes()),
        page.section(f"The first {len(shown)}{of} images", legend, page.group(figures, "pairs")),
        page.section("Whole patients", to_html(_patients(ranking))),
    )
    return page.document(f"Where to label next: {run.resolve().name}", sections)


def _figure(ranked: Ranked, predictor: Predictor, calibration: Calibration) -> str:
    """Prediction and doubt side by side."""
    image = read_image(ranked.case.image)
    cut = slicing(image.geometry, predictor.config.slice_axis)
    slices = cut.cut(image.voxels)
    plane = np.ascontiguousarray(slices[cut.stored(ranked.slice_number - 1, len(slices))])
    seen = predictor(plane[np.newaxis], cut.pixel_mm)
    doubt, mask, name = 1 - calibration.chance_right(seen)[0], seen.masks[0], ranked.case.name
    shown = Slice(name, plane, mask, cut.pixel_mm, side=SIDE).around([])
    pair = page.group(
        [
            page.picture(shown.picture(mask), f"{name}: prediction"),
            page.picture(shown.map(doubt), f"{name}: doubt"),
        ],
        "pair",
    )
    return f"<figure>{pair}<figcaption>{escape(_caption(ranked))}</figcaption></figure>\n"


def _caption(ranked: Ranked) -> str:
    where = f", slice {ranked.slice_number} of {ranked.slices}" if ranked.slices > 1 else ""
    return (
        f"{ranked.rank}. {ranked.case.name}\n"
        f"patient {ranked.case.patient}{where}\n"
        f"gain {ranked.gain:.1%}, benefit {ranked.benefit:.2f}, novelty {ranked.novelty:.2f}"
    )


def _patients(ranking: Ranking) -> Table:
    """Which patients to label, where patients are labelled whole."""
    count = Counter(ranked.case.patient for ranked in ranking.cases)
    first = {ranked.patient_rank: ranked for ranked in ranking.cases}
    rows = tuple(
        headings(
            one.case.patient,
            str(one.patient_rank),
            f"{one.patient_gain:.1%}",
            _two_digits(one.patient_benefit),
            _two_digits(one.patient_novelty),
            str(count[one.case.patient]),
        )
        for _, one in sorted(first.items())[:MOST_PATIENTS]
    )
    note = (
        "The order in which to label patients, where all images of a patient are labelled: by "
        "gain, what is labelled or stands before in the table being known."
    )
    columns = headings("patient", "rank", "gain", "benefit", "novelty", "images")
    return Table("patients", "", columns, rows, note)


def _two_digits(value: float) -> str:
    return f"{value:.2f}"
