"""The page in a real browser, on a real server."""

import time

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.pictures import PALETTE

pytestmark = pytest.mark.slow

# Pixels of the canvas that have exactly a colour.
COUNT = """(() => {
  const canvas = document.querySelector("#canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let k = 0; k < data.length; k += 4) {
    count += data[k] === %d && data[k + 1] === %d && data[k + 2] === %d;
  }
  return count;
})()"""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


def choose_model(tab, name):
    tab.js(f"""(() => {{
        const model = document.querySelector("#model");
        model.value = {name!r};
        model.dispatchEvent(new Event("change"));
    }})()""")


def settled(tab, words):
    """Waits until the answer, or the refusal, has these words; the text of the panel or None."""
    tab.until(f"""document.querySelector("#busy").hidden
        && ["#panel", "#error"].map((id) => document.querySelector(id)).some(
            (part) => part.checkVisibility() && part.innerText.includes({words!r}))""")
    tab.js(DRAWN)
    return tab.text("#panel") if tab.shown("#panel") else None


def slide(tab, selector, value, event="change"):
    tab.js(f"""(() => {{
        const slider = document.querySelector({selector!r});
        slider.value = {value};
        slider.dispatchEvent(new Event({event!r}));
    }})()""")


def colour(tab, index=1):
    tab.js(DRAWN)
    return tab.js(COUNT % tuple(PALETTE[index].tolist()))


def download(tab, selector, folder):
    """The file that a click on a link saves."""
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    tab.call("Browser.setDownloadBehavior", **behaviour)
    tab.click(selector)
    name, end = tab.js(f"document.querySelector({selector!r}).download"), time.monotonic() + 60
    while time.monotonic() < end:
        if (folder / name).is_file() and (folder / name).stat().st_size:
            return folder / name
        time.sleep(0.05)
    raise AssertionError(f"{name} was not saved")


@pytest.fixture
def saved_files(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    return folder


def test_a_picture_is_chosen_looked_at_and_its_mask_saved(tab, page_client, square, saved_files):
    choose_model(tab, "net")
    tab.choose("#file", square)
    panel = settled(tab, "Doe_John.png")
    assert "class 1\n\t300 px" in panel.replace("\n\n", "\n")
    assert "unknown: no areas in mm²" in panel and "Exported without confidence" in panel
    assert not tab.shown("#nifti") and not tab.shown("#slices") and not tab.shown("#has-confidence")

    line = colour(tab)
    assert line > 100
    slide(tab, "#opacity", 100, "input")
    assert colour(tab) > 5 * line  # now the whole class
    tab.click("#classes input")
    assert colour(tab) == 0
    tab.click("#classes input")
    assert colour(tab) > 5 * line

    image = cv2.imread(str(square), cv2.IMREAD_UNCHANGED)
    said = page_client.predict(model="net", images=image[np.newaxis, ..., np.newaxis].astype("f4"))
    file = download(tab, "#png", saved_files)
    assert file.name == "Doe_John_mask.png"
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, said["mask"][0])


def test_pointer_and_keys_read_a_pixel(tab, square):
    choose_model(tab, "net")
    tab.choose("#file", square)
    settled(tab, "300 px")
    box = tab.js("(({x, y, width, height}) => [x, y, width, height])"
                 "(document.querySelector('#canvas').getBoundingClientRect())")  # fmt: skip
    x, y, width, height = box
    scale = min(width / 50, height / 40)
    at = (x + width / 2 + (15.5 - 25) * scale, y + height / 2 + (12.5 - 20) * scale)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
    assert tab.until("document.querySelector('#probe b')?.innerText") == "class 1"
    assert tab.text("#probe") == "x 15, y 12 · class 1 · probability 100 %"
    tab.js("document.querySelector('#canvas').focus()")
    tab.key("ArrowRight")
    assert tab.text("#probe") == "x 26, y 20 · background · probability 100 %"
    before = colour(tab)
    tab.key("+")
    assert colour(tab) != before
    tab.key("0")
    assert colour(tab) == before


def test_a_volume_is_dropped_and_looked_through(tab, volume, saved_files):
    choose_model(tab, "net")
    tab.drop(volume)
    panel = settled(tab, "chest.nii.gz")
    assert "24 × 20, 6 slices" in panel and "0.5 × 0.75 mm" in panel
    assert tab.text("#place") == "4 of 6" and "3.4 mm²" in panel  # 9 pixels
    tab.js("document.querySelector('#slice').focus()")
    tab.key("End")
    settled(tab, "0.4 mm²")
    assert tab.text("#place") == "6 of 6"
    tab.key("Home")
    settled(tab, "13.5 mm²")  # 36 pixels
    label = tab.js("document.querySelector('#canvas').getAttribute('aria-label')")
    assert label == "Slice 1 of 6: class 1 13.5 mm²"

    file = download(tab, "#nifti", saved_files)
    assert file.name == "chest_slice001_mask.nii.gz"
    mask, image = sitk.ReadImage(str(file)), sitk.ReadImage(str(volume))
    assert image.TransformPhysicalPointToIndex(mask.GetOrigin()) == (0, 0, 5)
    expected = sitk.GetArrayFromImage(image)[5:] > 128
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), expected)


def test_dicom_without_an_ending(tab, write_slice, tmp_path):
    pixels = np.zeros((20, 30), np.int16)
    pixels[5:9, 4:10] = 1300
    choose_model(tab, "net")
    tab.choose("#file", write_slice(tmp_path / "IM0001", pixels))
    panel = settled(tab, "IM0001")
    assert "9.0 mm²" in panel and "24 px" in panel and "−1024 to 276" in panel


def test_the_example_with_an_exported_model(tab, page_client):
    assert tab.js("document.querySelector('#model').value") == "foreign"
    choose_model(tab, "heart")
    tab.click("#example")
    panel = settled(tab, "synthetic chest CT")
    assert "aorta" in panel and "pulmonary artery" in panel and "discriminator" in panel
    rows = tab.js("[...document.querySelectorAll('#classes tbody tr')].map((row) => row.innerText)")
    assert len(rows) == 2 and any("mm²" in row and "%" in row for row in rows)
    assert tab.text("#place") == "7 of 12"
    plain = colour(tab, 1) + colour(tab, 2)
    tab.click("[value=confidence]")
    assert tab.shown("#scale") and tab.text("#percent") == "60 %"
    tab.click("[value=classes]")
    assert not tab.shown("#scale") and colour(tab, 1) + colour(tab, 2) == plain > 0


def test_a_refusal_is_one_line_and_leaves_no_older_result(tab, square, tmp_path):
    assert "gRPC and REST can" in tab.text("#error")  # of the first model, which is foreign
    choose_model(tab, "spaced")
    assert not tab.shown("#error")
    tab.choose("#file", square)
    assert settled(tab, "pixel size in mm") is None
    choose_model(tab, "net")
    assert settled(tab, "300 px") and not tab.shown("#error")
    (tmp_path / "letter.txt").write_text("Dear radiologist,")
    tab.choose("#file", tmp_path / "letter.txt")
    assert settled(tab, "this is not an image") is None
    assert tab.shown("#welcome") and not tab.shown("#canvas")
    (tmp_path / "large.png").write_bytes(bytes(2_000_001))
    tab.choose("#file", tmp_path / "large.png")
    assert settled(tab, "the server takes 2.0 MB (--max-body-mb)") is None
    # The browser lists answers of status 400 as errors; there are no others.
    refused = tab.faults()
    assert [fault["text"][-17:] for fault in refused] == ["400 (Bad Request)"] * 2
    tab.events.clear()


def test_a_phone_and_the_dark(tab):
    choose_model(tab, "heart")
    tab.size(390, 844)
    tab.click("#example")
    settled(tab, "aorta")
    assert tab.js("document.documentElement.scrollWidth") <= 390
    assert tab.js("document.querySelector('#canvas').clientWidth") > 360
    background = "getComputedStyle(document.querySelector('#panel')).backgroundColor"
    light = tab.js(background)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.call("Emulation.setEmulatedMedia", features=dark)
    assert tab.js(background) != light


def test_the_browser_itself_keeps_the_page_from_other_servers(tab):
    directive = tab.js("""new Promise((tell) => {
        addEventListener("securitypolicyviolation", (event) => tell(event.effectiveDirective));
        fetch("http://203.0.113.1/").catch(() => null);
    })""")
    assert directive == "connect-src"
    tab.events.clear()  # what was tried


def test_a_server_that_does_not_answer_yet_is_asked_again(tab, square):
    tab.call("Network.setBlockedURLs", urls=["*/page/models"])
    tab.js("location.reload()")
    tab.until("document.querySelector('#error')?.innerText.includes('does not answer')")
    tab.choose("#file", square)
    tab.call("Network.setBlockedURLs", urls=[])
    tab.until("document.querySelector('#model').options.length == 4")
    choose_model(tab, "net")
    settled(tab, "300 px")  # of what was chosen meanwhile
    tab.events.clear()  # the browser lists what it had to block
