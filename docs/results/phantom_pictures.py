"""Draws the pictures of the README: a test case of the phantom, labelled and predicted.

Usage: python docs/results/phantom_pictures.py --work DIR
60 drawn patients, 3 of them labelled; recipes supervised and strong. The case is the one with the
median Dice by recipe strong. A finished run in --work is not repeated.
"""

import argparse
import base64
import json
from pathlib import Path

from tfadvseg.cli.options import quiet_tensorflow

HERE = Path(__file__).parent
PICTURES = HERE.parent / "pictures"
RECIPES = ("supervised", "strong")
SIZE, STEPS = 128, 800


def main() -> None:
    """Trains, writes, and says what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    work = parser.parse_args().work
    with quiet_tensorflow():
        from tfadvseg.report.cases import choose, find_cases, load_slice, predict
        from tfadvseg.report.results import load_result
    runs = {recipe: train(work, recipe) for recipe in RECIPES}
    ranks = choose([load_result(runs["strong"] / "metrics.json")])
    name = next(case for case, rank in ranks.items() if rank == "median")
    case = find_cases(runs["strong"], None, [name])[name]
    shown = load_slice(case, "acquisition", 255)
    seen = {recipe: predict(run, {name: shown})[name] for recipe, run in runs.items()}
    drawn = {"image": shown.picture(), "label": shown.picture(shown.mask)}
    drawn |= {recipe: shown.picture(one.mask) for recipe, one in seen.items()}
    drawn["right"] = shown.map(seen["strong"].confidence)
    PICTURES.mkdir(exist_ok=True)
    for what, uri in drawn.items():
        file = PICTURES / f"phantom_{what}.png"
        file.write_bytes(base64.b64decode(uri.partition(",")[2]))
        print(file)
    for recipe, run in runs.items():
        metrics = json.loads((run / "metrics.json").read_text())
        print(f"{recipe}: Dice on the test patients {metrics['pooled']['foreground']['dice']:.3f}")


def train(work: Path, recipe: str) -> Path:
    """The run of a recipe."""
    from tfadvseg.config import Config, read_settings
    from tfadvseg.data.phantom import write_phantom
    from tfadvseg.training import fit

    run, data = work / recipe, work / "data"
    if not data.is_dir():
        write_phantom(data, patients=60, size=SIZE)
    if not (run / "metrics.json").is_file():
        settings = read_settings(HERE.parents[1] / "examples" / "phantom.yaml")
        settings |= {"data": str(data), "recipe": recipe, "image_size": SIZE, "steps": STEPS}
        settings |= {"labelled_fraction": None, "labelled_patients": 3}
        fit(Config(**settings, batch_size=4), run, overwrite=run.exists())
    return run


if __name__ == "__main__":
    main()
