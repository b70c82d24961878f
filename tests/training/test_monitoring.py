"""TensorBoard's panels."""

import numpy as np
import SimpleITK as sitk

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.image import Source
from tfadvseg.pictures import MARGIN, PALETTE
from tfadvseg.training.monitoring import case_panel


class Predicting:
    """Says background everywhere."""

    def __init__(self, config):
        self.config = config

    def __call__(self, slices, pixel_mm):
        return type("Seen", (), {"masks": np.zeros(slices.shape[:3], int), "confidence": None})


def test_ignored_pixels_neither_choose_the_slice_nor_are_drawn(tmp_path, tiny):
    masks = np.zeros((3, 8, 10), np.uint8)
    masks[0], masks[1, :2, :3] = 255, 2
    for name, voxels in (
        ("image", np.arange(240, dtype=np.int16).reshape(3, 8, 10)),
        ("mask", masks),
    ):
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / f"{name}.nii.gz"))
    case = Case("a", Source((tmp_path / "image.nii.gz",)), tmp_path / "mask.nii.gz", "p")
    panel = case_panel(case, Predicting(Config(**tiny)))
    label = panel[:, 10 + MARGIN : 20 + MARGIN]
    assert {tuple(colour) for colour in label.reshape(-1, 3).tolist()} == {
        (0, 0, 0),
        tuple(PALETTE[2].tolist()),
    }
    assert (label.any(axis=-1)).sum() == 6
