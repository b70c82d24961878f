"""Draws the pictures of the README: a test case of the phantom, labelled and predicted.

Usage: python docs/results/phantom_pictures.py --work DIR
60 drawn patients, 3 of them labelled; recipes supervised and strong. Of the test slices that show
both vessels, it is the one where strong gains or loses the median Dice. A finished run in --work is
not repeated.
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
        from tfadvseg.report.cases import find_cases, load_slice, predict
        from tfadvseg.report.results import load_result
    runs = {recipe: train(work, recipe) for recipe in RECIPES}
    dice = {recipe: load_result(run / "metrics.json").cases for recipe, run in runs.items()}
    cases = find_cases(runs["strong"], None, [*dice["strong"]])
    slices = {name: load_slice(case, "acquisition", 255) for name, case in cases.items()}
    both = [name for name, one in slices.items() if {1, 2} <= set(one.mask.ravel())]
    both.sort(key=lambda name: dice["strong"][name][1] - dice["supervised"][name][1])
    name = both[len(both) // 2]
    seen = {recipe: predict(run, {name: slices[name]})[name] for recipe, run in runs.items()}
    shown = slices[name].around([one.mask for one in seen.values()])
    print(f"{name}, one of {len(both)}:", *(f"{r} {dice[r][name][1]:.3f}" for r in RECIPES))
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
