"""Which sizes an engine is built for."""

import types

import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.errors import InputError
from tfadvseg.export.samples import Sample
from tfadvseg.export.tensorrt_profiles import (
    Profile,
    choose,
    choose_lasting,
    read_size,
)


def slices(*sizes):
    return [Sample(np.zeros((*size, 1), np.uint8), None) for size in sizes]


def test_sizes_are_read_and_wrong_ones_refused():
    assert read_size("--max", "16x512x256") == (16, 512, 256)
    assert read_size("--max", None) is None
    for text in ("16x512", "0x1x1", "1x2x-3", "axbxc", "1x2x3x4", "1X2X3", "9999999x1x1"):
        with pytest.raises(InputError, match=f"--opt: expected BATCHx.*, received '{text}'"):
            read_size("--opt", text)


def test_real_images_set_what_is_not_given():
    samples = slices((216, 256), (300, 180))
    assert choose(samples, None, None, None) == Profile((1, 32, 32), (8, 300, 256), (16, 600, 512))
    assert choose(samples, (1, 216, 180), None, (4, 300, 256)) == Profile(
        (1, 216, 180), (4, 300, 256), (4, 300, 256)
    )


def test_images_below_the_smallest_size_lower_it():
    assert choose(slices((20, 64)), None, None, None).least == (1, 20, 32)


def test_images_of_other_sizes_find_the_engine_that_is_there():
    first, other = choose_lasting(slices((216, 256))), choose_lasting(slices((250, 130), (40, 40)))
    assert str(first) == str(other) == "1x32x32-16x512x512"
    assert first.best == (8, 216, 256)


@pytest.mark.parametrize("given", [(1, 16, 500), (32, 8, 8), (1, 1000, 1000)])
def test_what_is_given_widens_the_rest(given):
    profile = choose(slices((40, 50)), None, given, None)
    assert profile.best == given
    for small, large in ((profile.least, given), (given, profile.most)):
        assert all(a <= b for a, b in zip(small, large, strict=True))


def test_sizes_that_fall_are_refused():
    with pytest.raises(InputError, match="--min 4x64x64 is larger than --max 2x99x99"):
        choose(slices((64, 64)), (4, 64, 64), None, (2, 99, 99))
    with pytest.raises(InputError, match="--opt 1x64x65 is larger than --max 1x64x64"):
        choose(slices((64, 64)), None, (1, 64, 65), (1, 64, 64))


def test_a_profile_without_place_for_a_real_image_is_refused():
    with pytest.raises(InputError, match="no single image of the run fits .* up to 64x48"):
        choose(slices((64, 48)), (1, 65, 65), None, (1, 128, 128))
    with pytest.raises(InputError, match="no single image of the run fits"):
        choose(slices((64, 48)), (2, 32, 32), None, (4, 128, 128))


def test_shapes_have_the_channels_last():
    profile = Profile((1, 32, 32), (8, 64, 48), (16, 128, 96))
    predictor = types.SimpleNamespace(config=Config(channels=3))
    assert profile.shapes(predictor) == {
        "images": ((1, 32, 32, 3), (8, 64, 48, 3), (16, 128, 96, 3))
    }
