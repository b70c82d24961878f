"""How well unlabelled patients of another kind are told from those of the same kind.

Usage: python benchmarks/outliers.py --data DATA [--out docs/results/outliers.json]
DATA holds acdc/, chd_cta/ and cta_unlabelled/ as data folders. For each of two data sets, S and D
learn from its labelled patients for as long as recipe strong's first stage lasts. Then its own
unlabelled patients and those of the other folders are compared with the labelled ones.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfadvseg.building import build_model
from tfadvseg.config import Config, read_settings
from tfadvseg.data.folders.cases import Case, read_unlabelled_folder
from tfadvseg.data.pipeline import Pool, load_pool, training_stream
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import write_text
from tfadvseg.training.outliers import find_outliers

EXAMPLES = Path(__file__).parents[1] / "examples"
SETS = {
    "acdc": ("acdc_small.yaml", 80, {}),
    "chd_cta": ("chd_cta.yaml", 90, {"image_size": 128}),
}
STRANGERS = {"acdc": ("chd_cta", "cta_unlabelled"), "chd_cta": ("acdc",)}
MOST = 150  # slices of a folder of strangers


def main() -> None:
    """Prints and writes how many patients of each folder are outliers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.data is None:
        print("Skipped: this needs --data, a folder with acdc/, chd_cta/ and cta_unlabelled/.")
        return
    warnings.simplefilter("ignore")  # what is odd about these folders is known
    found = {name: examine(options.data, name) for name in SETS}
    if options.out:
        write_text(options.out, json.dumps(found, indent=1) + "\n")


def examine(data: Path, name: str) -> dict[str, Any]:
    """Trains on one data set and compares."""
    example, steps, changes = SETS[name]
    settings = read_settings(EXAMPLES / example) | {"data": str(data / name), **changes}
    if name == "chd_cta":
        settings["unlabelled"] = str(data / "cta_unlabelled")
    config, split = prepare(Config.from_mapping({**settings, "recipe": "strong"}))
    labelled, held_out = _pool(split.labelled, config), _pool(split.val, config)
    model = build_model(config)
    stream = training_stream(
        labelled,
        None,
        batch_size=config.batch_size,
        unlabelled_batch_size=config.unlabelled_batch_size,
        augmentations=config.augment,
        seed=config.seed,
    )
    model.fit(stream(0), steps_per_epoch=steps, verbose=0, shuffle=False)
    pools = {"its own unlabelled": split.unlabelled}
    for other in STRANGERS[name]:
        pools[other] = read_unlabelled_folder(data / other)[:MOST]
    result = {}
    for pool, cases in pools.items():
        found = find_outliers(model, _pool(cases, config), [labelled, held_out])
        result[pool] = {"patients": len(found.patients), "outliers": len(found.outliers)}
        print(f"{name}, {pool}: {len(found.outliers)} of {len(found.patients)} are outliers")
    return result


def _pool(cases: Sequence[Case], config: Config) -> Pool:
    return load_pool(
        cases,
        Preprocessing.from_config(config),
        slice_axis=config.slice_axis,
        ignore_label=config.ignored(),
    )


if __name__ == "__main__":
    main()
