import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.image import Image
from tfadvseg.data.io import read_image, write_mask


@pytest.fixture
def most_at_once(monkeypatch):
    """The most threads that were inside each of SimpleITK's calls on files, or any of them."""
    guard, inside, most = threading.Lock(), [], {}

    def watched(name, call):
        def enter(*args, **kwargs):
            with guard:
                inside.append(name)
                most[name] = max(most.get(name, 0), len(inside))
            time.sleep(0.005)  # long enough for another thread to come in
            try:
                return call(*args, **kwargs)
            finally:
                with guard:
                    inside.remove(name)

        return enter

    for owner, name in (
        (sitk.ImageFileReader, "ReadImageInformation"),
        (sitk.ImageFileReader, "Execute"),
        (sitk, "WriteImage"),
    ):
        monkeypatch.setattr(owner, name, watched(name, getattr(owner, name)))
    return most


def test_one_thread_at_a_time_reads_or_writes_by_simpleitk(tmp_path, most_at_once):
    voxels = np.random.default_rng(0).integers(0, 9, (3, 8, 8), np.uint8)
    plain = sitk.GetImageFromArray(voxels[0].astype(np.uint16))
    sitk.WriteImage(plain, str(tmp_path / "slice.dcm"))
    most_at_once.clear()
    names = [f"{number}{suffix}" for number in range(3) for suffix in (".nii.gz", ".mha", ".nrrd")]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: write_mask(tmp_path / name, Image(voxels, None)), names))
        read = list(threads.map(lambda name: read_image(tmp_path / name), [*names, "slice.dcm"]))
    assert most_at_once == {"ReadImageInformation": 1, "Execute": 1, "WriteImage": 1}
    for image in read[:-1]:
        np.testing.assert_array_equal(image.voxels[..., 0], voxels)
    np.testing.assert_array_equal(read[-1].voxels[..., 0], voxels[:1])
