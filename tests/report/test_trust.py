"""The charts of `trust.json`."""

import xml.etree.ElementTree as ET

import pytest

from tfadvseg.report.charts import RIGHT
from tfadvseg.report.trust import trust_charts


@pytest.mark.parametrize("last", [60, 97, 150])
def test_what_was_kept_lies_in_the_chart_to_the_last_step(last):
    """Its last point is that of the end, a round after the last time that trust was found."""
    found = {"trusted": 0.4, "precision": 0.9, "curve": None}
    rounds = [{"step": step, "classes": {"vessel": found}} for step in (20, 40)]
    history = [{"step": step, "kept vessel": 0.3} for step in (40, last)]
    page = ET.fromstring(f"<p>{trust_charts({'rounds': rounds, 'target': 0.8}, history)}</p>")
    kept = page.find(".//figure")
    assert kept.find("figcaption").text == "Kept"
    places = [m.get("transform") for m in kept.iter("path") if m.get("class") == "marker"]
    across = [float(place.removeprefix("translate(").split()[0]) for place in places]
    assert len(across) == 2 and across[0] < across[1] <= RIGHT
