import cv2
import numpy as np
import pytest

from tfadvseg.data import io
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError


def read_image(path):
    """The only page of a picture."""
    image = io.read_image(path)
    assert image.geometry is None
    (page,) = image.voxels
    return page


def read_mask(path):
    (page,) = io.read_mask(path).voxels
    return page


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (40, 31), dtype=np.uint8)


def save(path, pixels):
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("scale", [1, 257])
def test_grey_images_keep_their_stored_values(tmp_path, noise, suffix, scale):
    pixels = noise * np.uint16(scale) if scale > 1 else noise
    image = read_image(save(tmp_path / f"a{suffix}", pixels))
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image[..., 0], pixels)


def test_float_tiff_keeps_its_values(tmp_path, noise):
    pixels = noise.astype(np.float32) / 3 - 20
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", pixels))[..., 0], pixels)


def test_jpeg_is_read(tmp_path):
    smooth = np.full((40, 31), 90, np.uint8)
    image = read_image(save(tmp_path / "a.jpg", smooth))
    assert image.shape == (40, 31, 1)
    assert abs(image.astype(int) - 90).max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_comes_as_rgb_without_alpha(tmp_path, channels):
    pixels = np.zeros((5, 6, channels), np.uint8)
    pixels[..., 2] = 200  # OpenCV's red
    image = read_image(save(tmp_path / "a.png", pixels))
    assert image.shape == (5, 6, 3)
    assert (image[..., 0] == 200).all() and not image[..., 1:].any()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.97])
def test_truncated_files_are_refused_by_name(tmp_path, noise, suffix, share, capfd):
    path = save(tmp_path / f"cut{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="cut"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_a_damaged_png_is_refused(tmp_path, noise, capfd):
    path = save(tmp_path / "bad.png", noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.png: truncated or damaged"):
        read_image(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_pages_are_slices_and_are_written_back(tmp_path, noise, kind):
    pages = np.stack([noise, noise[::-1], noise // 2]).astype(kind)
    io.write_mask(tmp_path / "new" / "pages.tif", Image(pages))
    np.testing.assert_array_equal(
        io.read_image(tmp_path / "new" / "pages.tif").voxels[..., 0], pages
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pages.tif"]


def test_pages_of_different_sizes_are_refused(tmp_path, noise):
    cv2.imwritemulti(str(tmp_path / "pages.tif"), [noise, noise[1:]])
    with pytest.raises(InputError, match=r"pages\.tif: its 2 pages differ in size"):
        read_image(tmp_path / "pages.tif")


def test_masks_of_16_bit_are_read_and_colours_refused(tmp_path):
    indices = np.array([[0, 1], [2, 255]], np.uint16)
    mask = read_mask(save(tmp_path / "m.png", indices))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, indices)
    save(tmp_path / "big.png", indices * 2)
    with pytest.raises(InputError, match="class indices from 0 to 255"):
        read_mask(tmp_path / "big.png")
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0] = (0, 0, 255)
    with pytest.raises(InputError, match="colour"):
        read_mask(save(tmp_path / "c.png", colours))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_written_png_reads_back(tmp_path, shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "new" / "a.png", pixels)
    read = read_image(tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(read.reshape(shape), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_hidden_and_other_files_are_passed_over(tmp_path, noise):
    save(tmp_path / "b.png", noise)
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    assert [path.name for path in io.list_images(tmp_path)] == ["b.png"]
