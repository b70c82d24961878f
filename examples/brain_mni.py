"""Writes a data folder of 3-D brain MRI that anybody has: `python brain_mni.py brain_mni`.

The package nilearn ships the MNI152 template: a T1 image of 152 people averaged, with maps of grey
and white matter. It is cut into slabs along the body axis, each a NIfTI volume on its own grid.
Slabs of one brain stand in for patients here. Their neighbours look alike, so the scores show that
the chain works, and nothing about other brains.

Needs `pip install nilearn`.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
from nibabel import Nifti1Image
from nilearn import datasets

SLICES = 6  # of 2 mm in a slab
SPLITS = ("train", "train", "val", "train", "test", "train")  # in turn, from the neck upwards


def main(folder: Path) -> None:
    """Writes images, masks, `cases.csv` and `dataset.json` into a new folder."""
    head = datasets.load_mni152_template(resolution=2)
    grey, white = (
        load(resolution=2).get_fdata()
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    tissue = np.where(white > 0.5, 2, np.where(grey > 0.5, 1, 0)).astype(np.uint8)
    labels = Nifti1Image(tissue, head.affine)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    with_tissue = np.flatnonzero(tissue.any(axis=(0, 1)))
    starts = range(with_tissue[0], with_tissue[-1] - SLICES + 2, SLICES)
    rows = []
    for number, start in enumerate(starts):
        file = f"slab{number:02d}.nii.gz"
        for name, volume in (("images", head), ("masks", labels)):
            volume.slicer[:, :, start : start + SLICES].to_filename(folder / name / file)
        rows.append((file, f"slab{number:02d}", SPLITS[number % len(SPLITS)]))
    with (folder / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "patient", "split"), *rows])
    labels = {"background": 0, "grey matter": 1, "white matter": 2}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "window": [0, 1]}))
    print(f"Wrote {len(rows)} slabs to {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
