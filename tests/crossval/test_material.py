import dataclasses
import json
import shutil

import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.crossval.material import read_material
from tfadvseg.crossval.planning import make_plan
from tfadvseg.data.folders.cases import read_data_folder, read_unlabelled_folder
from tfadvseg.data.folders.split import split_cases
from tfadvseg.data.formats.raster import read_pages, write_png
from tfadvseg.errors import DataWarning, InputError


@pytest.fixture
def pool(shared_phantom, tmp_path):
    """Images without masks, of strangers and of a patient of the phantom."""
    images = sorted((shared_phantom / "images").iterdir())
    for name, image in zip(("stranger_1", "stranger_2", "phantom000_9"), images, strict=False):
        mirrored = read_pages(image).voxels[0, :, ::-1, 0]
        write_png(tmp_path / "pool" / f"{name}.png", np.ascontiguousarray(mirrored))
    return tmp_path / "pool"


def settings(data, **more):
    return Config(data=str(data), patient_pattern=r"^([a-z]+\d*)_", **more)


@pytest.mark.filterwarnings("ignore:classes in the masks of fewer patients")
def test_the_data_decide_what_is_not_set(shared_phantom, pool):
    material = read_material(settings(shared_phantom, unlabelled=str(pool)), 5)
    assert material.config.classes == ("background", "aorta", "pulmonary artery")
    assert material.config.channels == 1 and material.config.ignore_label == 255
    assert set(material.images.values()) == {3} and len(material.images) == 4
    assert material.unlabelled == {"stranger", "phantom000"}
    assert set(material.classes_of.values()) == {frozenset({1, 2})}
    with pytest.warns(DataWarning, match="no recipe here uses unlabelled images"):
        without = read_material(settings(shared_phantom, unlabelled=str(pool)), 5, pool=False)
    assert without.unlabelled == frozenset()


@pytest.mark.filterwarnings("ignore:.* unlabelled images of validation or test")
def test_the_split_of_fit_is_that_of_the_plan(shared_phantom, pool, wanted):
    config = settings(shared_phantom, unlabelled=str(pool))
    plan = make_plan(read_material(config, 4), wanted(folds=4))
    cases = read_data_folder(shared_phantom, **config.reading())
    further = read_unlabelled_folder(pool, **config.reading())
    for run in plan.runs:
        used = further if run.trained_as == "paper" else ()
        split = split_cases(cases, used, plan.config_of(run)).to_json()["patients"]
        fold = plan.folds[run.fold]
        assert split["labelled"] == list(run.labelled)
        assert (split["val"], split["test"]) == (list(fold.val), list(fold.test))
        assert run.trained_as != "paper" or split["unlabelled"] == list(run.unlabelled)


def test_a_picture_of_two_patients_keeps_them_together(phantom):
    images = sorted((phantom / "images").iterdir())
    shutil.copy(images[0], images[-1])
    with pytest.warns(DataWarning) as told:
        material = read_material(settings(phantom), 2)
    assert any(
        "stay together in every fold: phantom000 = phantom003" in str(w.message) for w in told
    )
    assert sorted(material.groups.values())[0] == ("phantom000", "phantom003")
    assert set(material.classes_of) == {"phantom000", "phantom001", "phantom002"}


def test_a_picture_with_a_mask_may_not_come_back_without_one(phantom, pool):
    shutil.copy(sorted((phantom / "images").iterdir())[0], pool / "stranger_3.png")
    with pytest.raises(InputError, match="phantom000 and the unlabelled images"):
        read_material(settings(phantom, unlabelled=str(pool)), 2)


def test_damaged_files_and_unknown_classes_are_refused(phantom):
    masks = sorted((phantom / "masks").iterdir())
    masks[0].write_bytes(masks[0].read_bytes()[:50])
    write_png(masks[1], np.full((48, 48), 9, np.uint8))
    with pytest.raises(InputError, match="truncated.*class index 9"):
        read_material(settings(phantom), 2)


def test_a_pixel_size_that_no_image_tells_is_refused(shared_phantom):
    with pytest.raises(InputError, match="do not say their pixel size"):
        read_material(settings(shared_phantom, spacing_mm=2), 2)


def test_the_own_test_set_of_nnunet_stays_out(phantom, tmp_path, wanted):
    root = tmp_path / "Dataset001_P"
    for image in sorted((phantom / "images").iterdir()):
        part = "Ts" if image.name.startswith("phantom003") else "Tr"
        for folder, source, name in (
            ("images", image, f"{image.stem}_0000.png"),
            ("labels", phantom / "masks" / image.name, image.name),
        ):
            (root / (folder + part)).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / (folder + part) / name)
    labels = {"background": 0, "aorta": 1, "pulmonary artery": 2}
    content = {"labels": labels, "file_ending": ".png", "channel_names": {"0": "CT"}}
    (root / "dataset.json").write_text(json.dumps({**content, "numTraining": 9}))
    plan = make_plan(read_material(settings(root), 3), wanted(fractions="1"))
    named = {p for fold in plan.folds for part in (fold.test, fold.val, fold.train) for p in part}
    assert named == {"phantom000", "phantom001", "phantom002"}
    (given,) = make_plan(read_material(settings(root), 1), wanted(fractions="1")).folds
    assert given.test == ("phantom003",) and len(given.val) == 1 and len(given.train) == 2


def name_splits(data, **parts):
    """Writes a split column for the patients of a phantom."""
    rows = ["file,patient,split"]
    for image in sorted((data / "images").iterdir()):
        patient = image.name.split("_")[0]
        rows.append(f"{image.name},{patient},{parts.get(patient, 'train')}")
    (data / "cases.csv").write_text("\n".join(rows) + "\n")


def test_one_fold_is_the_split_that_the_data_give(phantom, pool, wanted):
    name_splits(phantom, phantom001="test", phantom002="val")
    config = settings(phantom, unlabelled=str(pool))
    plan = make_plan(read_material(config, 1), wanted(folds=1))
    assert [dataclasses.astuple(fold) for fold in plan.folds] == [
        (("phantom001",), ("phantom002",), ("phantom000", "phantom003"))
    ]
    assert {len(run.labelled) for run in plan.runs} == {1, 2}
    cases = read_data_folder(phantom, **config.reading())
    for run in plan.runs:
        split = split_cases(cases, (), plan.config_of(run)).to_json()["patients"]
        assert (split["test"], split["val"]) == (["phantom001"], ["phantom002"])
        assert split["labelled"] == list(run.labelled)


def test_one_fold_keeps_test_patients_without_masks_away(phantom, wanted):
    for mask in (phantom / "masks").glob("phantom003*"):
        mask.unlink()
    name_splits(phantom, phantom001="test", phantom002="val", phantom003="test")
    config = settings(phantom, labelled_fraction=None)
    plan = make_plan(read_material(config, 1), wanted(folds=1, fractions="1"))
    cases = read_data_folder(phantom, **config.reading())
    for run in plan.runs:
        with pytest.warns(DataWarning, match="unlabelled images of validation or test patients"):
            split = split_cases(cases, (), plan.config_of(run)).to_json()["patients"]
        assert (split["test"], split["labelled"]) == (["phantom001"], list(run.labelled))
        assert "phantom003" not in {*split["unlabelled"], *run.unlabelled}
    assert plan.folds[0].test == ("phantom001", "phantom003") and "phantom003" not in plan.images


def test_one_fold_needs_test_patients(phantom, wanted):
    name_splits(phantom)
    with pytest.raises(InputError, match="--folds 1 is the split.*names no test patients"):
        read_material(settings(phantom), 1)
    named = settings(phantom, test_patients=("phantom003",), val_patients=("phantom000",))
    (fold,) = make_plan(read_material(named, 1), wanted(folds=1)).folds
    assert (fold.test, fold.val) == (("phantom003",), ("phantom000",))


def test_a_given_split_may_not_share_a_picture(phantom):
    name_splits(phantom, phantom003="test")
    images = sorted((phantom / "images").iterdir())
    shutil.copy(images[0], images[-1])
    with pytest.raises(InputError, match=r"phantom000 \(\w+\), phantom003 \(test\)"):
        read_material(settings(phantom), 1)
