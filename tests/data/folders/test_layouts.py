import json
import re
import shutil
import warnings

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import read_data_folder, read_unlabelled_folder
from tfadvseg.data.folders.split import split_cases
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.identity import pseudonym
from tfadvseg.data.image import Source
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import DataWarning, InputError

BLANK = np.zeros((4, 4), np.uint8)
PATTERN = r"^([a-z]+\d)"
LABELS = {"background": 0, "artery": 1, "vein": 2}


def write_nifti(path, value=0, axes=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.full((2,) * axes, value, np.uint8)
    image = sitk.GetImageFromArray(voxels, isVector=False)
    sitk.WriteImage(image, str(path))


def describe(root, **content):
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def nnunet(root, cases=("a1", "a2"), channels=("CT",), test=(), ending=".nii.gz", **content):
    """A raw data set of nnU-Net whose voxels tell the channel."""
    for part, names in (("Tr", cases), ("Ts", test)):
        for name in names:
            for number in range(len(channels)):
                write_nifti(root / f"images{part}" / f"{name}_{number:04d}{ending}", number + 1)
            write_nifti(root / f"labels{part}" / f"{name}{ending}")
    names = dict(enumerate(channels))
    describe(root, **{"channel_names": names, "labels": LABELS, "file_ending": ending, **content})
    return root


def decathlon(root, modality=("MRI",), axes=3):
    training = []
    for name in ("la_003", "la_004"):
        write_nifti(root / "imagesTr" / f"{name}.nii.gz", axes=axes)
        write_nifti(root / "labelsTr" / f"{name}.nii.gz")
        training.append(
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        )
    describe(
        root,
        name="LeftAtrium",
        tensorImageSize=f"{axes}D",
        modality=dict(enumerate(modality)),
        labels={"0": "background", "1": "left atrium"},
        numTraining=2,
        training=training,
        test=["./imagesTs/la_001.nii.gz"],
    )
    return root


def table(root, text, files=("p1/ct.png", "p2/scan.png", "p1/mask.png")):
    for file in files:
        write_png(root / file, BLANK)
    (root / "list.csv").write_text(text)
    return root / "list.csv"


def names(cases):
    return [case.name for case in cases]


def rewrite(root, **changes):
    content = json.loads((root / "dataset.json").read_text())
    describe(root, **{**content, **changes})


def refused(root, words, pattern=PATTERN):
    with pytest.raises(InputError, match=words) as caught:
        read_data_folder(root, pattern)
    assert "\n" not in str(caught.value)


# nnU-Net


def test_nnunet_channels_come_in_the_order_of_their_names(tmp_path):
    root = nnunet(tmp_path, channels=("T1", "T2", "FLAIR"))
    folder = read_data_folder(root, PATTERN)
    assert names(folder.cases) == ["a1", "a2"]
    assert folder.classes == ("background", "artery", "vein")
    case = folder.cases[0]
    assert case.image == Source(
        tuple(root / "imagesTr" / f"a1_{number:04d}.nii.gz" for number in range(3))
    )
    assert read_image(case.image).voxels[0, 0, 0].tolist() == [1, 2, 3]
    assert case.mask == root / "labelsTr" / "a1.nii.gz" and read_mask(case.mask)
    assert (case.patient, case.split) == ("a1", None)


def test_nnunet_label_ignore_is_the_ignored_value(tmp_path):
    folder = read_data_folder(nnunet(tmp_path, labels={**LABELS, "ignore": 3}), PATTERN)
    assert folder.classes == ("background", "artery", "vein") and folder.ignore_label == 3


def test_nnunet_images_without_a_label_are_unlabelled(tmp_path):
    root = nnunet(tmp_path, cases=("a1", "a2", "a3"))
    (root / "labelsTr" / "a2.nii.gz").unlink()
    for folder in ("imagesTr", "labelsTr"):
        (root / folder / "._a1_0000.nii.gz").write_bytes(b"")
    cases = read_data_folder(root, PATTERN).cases
    assert [(case.name, case.mask is None) for case in cases] == [
        ("a1", False),
        ("a2", True),
        ("a3", False),
    ]


def test_nnunet_test_images_are_the_test_split_where_they_have_labels(tmp_path):
    root = nnunet(tmp_path, cases=("a1", "a2", "a3", "a4"), test=("b1", "b2", "b3"))
    (root / "labelsTs" / "b3.nii.gz").unlink()
    folder = read_data_folder(root, PATTERN)
    assert {case.name: case.split for case in folder.cases if case.split} == {
        "b1": "test",
        "b2": "test",
    }
    assert folder.own_test == {"b1", "b2"} and folder.left_out == 1
    assert names(split_cases(folder, (), Config()).test) == ["b1", "b2"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("test_patients", [0, 1, ("a1",), ("b1",)])
def test_nnunet_test_images_never_train_whatever_the_settings(tmp_path, test_patients, seed):
    ours, theirs = ("a1", "a2", "a3", "a4"), ("b1", "b2")
    root = nnunet(tmp_path, cases=ours, test=theirs)
    write_nifti(tmp_path / "pool" / "b2_other.nii.gz")
    folder = read_data_folder(root, PATTERN)
    pool = read_unlabelled_folder(tmp_path / "pool", PATTERN)
    config = Config(test_patients=test_patients, labelled_patients=1, seed=seed)
    with pytest.warns(DataWarning, match="1 unlabelled images of validation or test"):
        split = split_cases(folder, pool, config)
    assert {*names(split.labelled), *names(split.unlabelled), *names(split.val)} <= set(ours)
    assert len(split.labelled) == len(split.val) == 1
    if isinstance(test_patients, tuple):
        assert names(split.test) == list(test_patients)
    else:
        assert len(split.test) == test_patients and set(names(split.test)) <= set(ours)


def test_nnunet_test_images_without_any_label_are_left_out(tmp_path):
    root = nnunet(tmp_path, channels=("T1", "T2"), test=("b1", "b2"))
    shutil.rmtree(root / "labelsTs")
    folder = read_data_folder(root, PATTERN)
    assert names(folder.cases) == ["a1", "a2"]
    assert folder.left_out == 2 and not folder.own_test
    shutil.rmtree(root / "imagesTs")
    (root / "imagesTs").mkdir()
    assert read_data_folder(root, PATTERN).left_out == 0


def test_nnunet_pictures_in_colour_lie_in_one_file(tmp_path):
    describe(tmp_path, channel_names={"0": "R", "1": "G", "2": "B"}, file_ending=".png")
    write_png(tmp_path / "imagesTr" / "a1_0000.png", np.zeros((4, 4, 3), np.uint8))
    write_png(tmp_path / "labelsTr" / "a1.png", BLANK)
    (case,) = read_data_folder(tmp_path, PATTERN).cases
    assert read_image(case.image).voxels.shape == (1, 4, 4, 3)
    write_png(tmp_path / "imagesTr" / "a1_0002.png", BLANK)
    refused(tmp_path, r"imagesTr: missing channels: a1_0001\.png \(G\); add")


def test_nnunet_grey_pictures_lie_in_one_file_a_channel(tmp_path):
    describe(tmp_path, channel_names={"0": "X", "1": "Y"}, file_ending=".png")
    for number in range(2):
        pixels = np.full((4, 4), number + 5, np.uint8)
        write_png(tmp_path / "imagesTr" / f"a1_{number:04d}.png", pixels)
    (case,) = read_data_folder(tmp_path, PATTERN).cases
    assert read_image(case.image).voxels[0, 0, 0].tolist() == [5, 6]
    (tmp_path / "imagesTr" / "a1_0001.png").unlink()
    refused(tmp_path, r"imagesTr: missing channels: a1_0001\.png \(Y\); add")


def test_nnunet_object_dataset_says_where_the_files_lie(tmp_path):
    other = tmp_path / "other"
    for file in ("images/x.nii.gz", "images/y.nii.gz", "z.nii.gz"):
        write_nifti(other / file)
    root = tmp_path / "raw"
    (root / "images").mkdir(parents=True)
    describe(
        root,
        channel_names={"0": "T1", "1": "T2"},
        labels=LABELS,
        file_ending=".nii.gz",
        dataset={
            "c1": {
                "images": ["../other/images/y.nii.gz", str(other / "images/x.nii.gz")],
                "label": "../other/z.nii.gz",
            },
            "c2": {"images": ["../other/z.nii.gz", "../other/z.nii.gz"], "label": None},
        },
    )
    one, two = read_data_folder(root, r"(.)").cases
    assert [file.name for file in one.image.files] == ["y.nii.gz", "x.nii.gz"]
    assert one.mask.samefile(other / "z.nii.gz")
    assert (two.name, two.mask) == ("c2", None)
    rewrite(root, dataset={"c1": {"images": ["../other/z.nii.gz"]}})
    refused(root, r"case c1 of dataset has 1 images, expected one for each .* T1, T2")
    gone = {f"c{i}": {"images": [f"{i}.nii", f"{i}b.nii"], "label": f"{i}c.nii"} for i in range(4)}
    rewrite(root, dataset=gone)
    refused(root, r"12 files are missing: 0\.nii, 0b\.nii, 0c\.nii, .* and 7 more")


def test_nnunet_patients_and_splits_may_come_from_a_table(tmp_path):
    root = nnunet(tmp_path, cases=("a1_f1", "a1_f2", "a2_f1"), channels=("T1", "T2"))
    text = "file,patient,split\na1_f1,p1,val\na1_f2.nii.gz,p1,val\na2_f1_0000.nii.gz,p2,\n"
    (root / "cases.csv").write_text(text)
    cases = read_data_folder(root).cases
    assert [(c.patient, c.split) for c in cases] == [("p1", "val"), ("p1", "val"), ("p2", None)]


def test_nnunet_refuses_a_table_that_trains_on_test_images(tmp_path):
    root = nnunet(tmp_path, test=("b1",))
    (root / "cases.csv").write_text("file,patient,split\nb1,b1,train\n")
    refused(root, r"cases\.csv: b1 is in the split train, but lies among the test images")


def test_nnunet_refuses_a_patient_in_training_and_test(tmp_path):
    root = nnunet(tmp_path, cases=("a1_x", "a2_x"), test=("a1_y",))
    refused(root, r"patient a1 is in two splits \(none, test\)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channel_names": None}, r'expected \{"channel_names": .*received null'),
        ({"channel_names": ["CT"]}, r'received \["CT"\]'),
        ({"channel_names": {"1": "CT"}}, r'received \{"1": "CT"\}'),
        ({"channel_names": {"0": "A", "1": "B"}}, r"a1_0001\.nii\.gz \(B\), a2_0001\.nii\.gz"),
        ({"file_ending": ".b2nd"}, r'file_ending one of \.png, .*received "\.b2nd"'),
        ({"file_ending": 3}, "file_ending one of"),
        ({"file_ending": ".nii"}, r"imagesTr: no file that ends in \.nii, the file_ending"),
        ({"labels": {"background": 0, "all": [1, 2]}}, "the label all is a region"),
        ({"dataset": {}}, "names no image"),
        ({"dataset": {"c": 3}}, r"case c of dataset .*received 3"),
        ({"dataset": {"c": {"images": "a"}}}, "case c of dataset"),
        ({"dataset": {"c": {"images": [""]}}}, "case c of dataset"),
        ({"dataset": {"c": {"images": ["a"], "label": 1}}}, "case c of dataset"),
        ({"dataset": {"../c": {"images": ["dataset.json"]}}}, "'../c' cannot be the name"),
        ({"dataset": {"c": {"images": ["\0"]}}}, r"file is missing: \\x00"),
        ({"dataset": {"c": {"images": ["\ud800"]}}}, r"file is missing: \\ud800"),
        ({"dataset": {"c": {"images": ["x" * 9000]}}}, r"file is missing: x{160}\.\.\."),
        ({"dataset": {"c": {"images": ["../../no.nii"]}}}, r"missing: \.\./\.\./no\.nii"),
        ({"dataset": {"c": {"images": ["/no/no.nii"]}}}, "missing: /no/no.nii"),
        (
            {"dataset": {n: {"images": ["imagesTr/a1_0000.nii.gz"]} for n in "cd"}},
            r"c and d are the same file, imagesTr/a1_0000\.nii\.gz",
        ),
    ],
)
def test_nnunet_refuses_a_dataset_json_that_does_not_fit(tmp_path, changes, words):
    root = nnunet(tmp_path)
    rewrite(root, **changes)
    refused(root, rf"{root}.*{words}")


def test_nnunet_refuses_files_that_do_not_fit(tmp_path):
    root = nnunet(tmp_path)
    for file, words in [
        ("imagesTr/a1_0001.nii.gz", r"a1_0001\.nii\.gz beyond the 1 channels .*\(CT\)"),
        ("imagesTr/a1.nii.gz", r"a1\.nii\.gz without the number of a channel"),
        ("labelsTr/stray.nii.gz", r"labelsTr: stray without an image of that name in imagesTr/"),
        ("labelsTs/b1.nii.gz", r"imagesTs: no file that ends in"),
    ]:
        write_nifti(root / file)
        refused(root, words)
        (root / file).unlink()
    assert len(read_data_folder(root, PATTERN).cases) == 2


def test_a_folder_with_images_is_ours_whatever_its_description_was_copied_from(tmp_path):
    root = nnunet(tmp_path)
    (root / "imagesTr").rename(root / "images")
    assert names(read_data_folder(root, PATTERN).cases) == ["a1_0000", "a2_0000"]
    rewrite(root, training=[{"image": "imagesTr/a1.nii.gz"}], channel_names=None)
    assert names(read_data_folder(root, PATTERN).cases) == ["a1_0000", "a2_0000"]


def test_imagestr_without_a_description_is_refused_with_the_mend(tmp_path):
    root = nnunet(tmp_path)
    (root / "dataset.json").unlink()
    refused(root, r"dataset\.json: expected channel_names, labels and file_ending")


# Medical Segmentation Decathlon


def test_decathlon_lists_training_and_leaves_the_test_images_out(tmp_path):
    root = decathlon(tmp_path)
    (root / "imagesTr" / "._la_003.nii.gz").write_bytes(b"")
    folder = read_data_folder(root, r"(la_\d+)")
    assert names(folder.cases) == ["la_003", "la_004"]
    assert folder.classes == ("background", "left atrium") and folder.left_out == 1
    assert folder.cases[0].image == Source((root / "imagesTr" / "la_003.nii.gz",))
    assert folder.cases[0].mask == root / "labelsTr" / "la_003.nii.gz"


def test_decathlon_modalities_are_the_fourth_axis(tmp_path):
    (case, _) = read_data_folder(decathlon(tmp_path, ("T2", "ADC"), axes=4), r"(la_\d+)").cases
    assert case.image.frames_are_channels
    assert read_image(case.image).voxels.shape == (2, 2, 2, 2)


def test_decathlon_passes_over_what_macos_leaves(tmp_path):
    root = decathlon(tmp_path)
    training = json.loads((root / "dataset.json").read_text())["training"]
    rewrite(root, training=[*training, {"image": "./imagesTr/._la_003.nii.gz", "label": "x"}])
    assert len(read_data_folder(root, r"(la_\d+)").cases) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": []}, "names no image"),
        ({"training": [3]}, r"received as item 0 3"),
        ({"training": [{"image": 1}]}, r'received as item 0 \{"image": 1\}'),
        ({"training": [{"image": ""}]}, "received as item 0"),
        ({"training": [{"image": "x", "label": []}]}, "received as item 0"),
        ({"training": [{"image": "x/y.nii.gz"}]}, "1 file is missing: x/y.nii.gz"),
        (
            {"training": [{"image": f"{x}/la.nii"} for x in "ab"]},
            "have the name la, a/la.nii and b",
        ),
        ({"modality": ["CT"]}, 'expected {"modality"'),
        ({"test": 3}, 'expected {"modality"'),
        ({"labels": {"0": "background", "2": "left atrium"}}, "with the indices 0, 1, 2"),
    ],
)
def test_decathlon_refuses_a_dataset_json_that_does_not_fit(tmp_path, changes, words):
    root = decathlon(tmp_path)
    rewrite(root, **changes)
    refused(root, rf"dataset\.json: .*{words}")


# CSV


def test_csv_paths_count_from_its_folder(tmp_path):
    text = "image,mask,patient,split\np1/ct.png,p1/mask.png,A,val\np2/scan.png,,B,\n"
    path = table(tmp_path / "data", text)
    describe(path.parent, labels=LABELS, ignore_label=7, window="lung")
    folder = read_data_folder(path)
    assert (folder.root, folder.ignore_label, folder.window) == (path, 7, "lung")
    one, two = folder.cases
    assert (one.name, one.patient, one.split) == ("ct", "A", "val")
    assert one.image == Source((path.parent / "p1/ct.png",))
    assert one.mask == path.parent / "p1/mask.png"
    assert (two.name, two.mask, two.patient, two.split) == ("scan", None, "B", None)


def test_csv_may_lack_patients(tmp_path):
    path = table(tmp_path, "mask,image\n,p1/ct.png\n,p2/scan.png\n")
    with pytest.warns(DataWarning, match="2 of 2 images .* fill the column patient"):
        cases = read_data_folder(path).cases
    assert [case.patient for case in cases] == ["ct", "scan"]


def test_csv_names_keep_files_of_one_name_apart(tmp_path):
    text = "image,mask,patient{}\np1/ct.png,,A{}\np2/ct.png,,B{}\n"
    files = ("p1/ct.png", "p2/ct.png")
    refused(
        table(tmp_path, text.format("", "", ""), files),
        r"two images have the name ct, p1/ct\.png and p2/ct\.png; .* column name",
    )
    path = table(tmp_path, text.format(",name", ",one", ",two"))
    assert names(read_data_folder(path).cases) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,patient\n", r"columns image,mask\[,patient\]\[,split\]\[,name\], received image"),
        ("image,mask\n", "names no image"),
        ("image,mask\n,p1/mask.png\n", "line 2: no image"),
        ("image,mask\np1/ct.png\n", "line 2: expected 2 values"),
        ("image,mask,split\np1/ct.png,,Test\n", "line 2: the split is Test"),
        ("image,mask\nno.png,gone.png\n", r"2 files are missing: no\.png, gone\.png"),
        ("image,mask\n/no/no.png,\n", r"missing: /no/no\.png"),
        ("image,mask,name\np1/ct.png,,a/b\n", "'a/b' cannot be the name"),
        ("image,mask,name\np1/ct.png,,..\n", "'..' cannot be the name"),
        ("image,mask,name\np1/ct.png,,a\np1/ct.png,,b\n", r"a and b are the same file"),
        (
            "image,mask,patient,split\np1/ct.png,,A,val\np2/scan.png,,A,test\n",
            r"patient A is in two splits \(val, test\)",
        ),
    ],
)
def test_csv_refuses_rows_that_do_not_fit(tmp_path, text, words):
    refused(table(tmp_path, text), rf"list\.csv.*{words}", pattern=r"(.)")


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("")
    refused(tmp_path / "x.txt", "a file; expected a folder with images/ in it, or a CSV table")
    refused(tmp_path / "no.csv", r"no\.csv: no such table")
    refused(tmp_path / "no", "no: no such folder")
    refused(tmp_path, "images: no such folder; put the images there")


# Pools without labels


def test_a_pool_takes_each_file_for_an_image(tmp_path):
    root = nnunet(tmp_path / "raw", channels=("T1", "T2"))
    cases = read_unlabelled_folder(root / "imagesTr", PATTERN)
    assert names(cases) == ["a1_0000", "a1_0001", "a2_0000", "a2_0001"]
    assert all(case.mask is None for case in cases)
    with pytest.raises(InputError, match=f"did you mean {root / 'imagesTr'}"):
        read_unlabelled_folder(root, PATTERN)


def test_what_is_no_pool_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("")
    for name, what in (("x.txt", "a file"), ("no", "no such folder")):
        words = f"{name}: {what}; expected a folder of images, or a CSV table"
        with pytest.raises(InputError, match=re.escape(words)):
            read_unlabelled_folder(tmp_path / name)


def test_a_pool_may_be_a_csv_table(tmp_path):
    path = table(tmp_path, "image,patient,mask\np1/ct.png,A,p1/mask.png\np2/scan.png,B,\n")
    cases = read_unlabelled_folder(path)
    assert [(case.name, case.patient, case.mask) for case in cases] == [
        ("ct", "A", None),
        ("scan", "B", None),
    ]


# DICOM


@pytest.fixture
def series(tmp_path, monkeypatch, write_slice):
    """Two series of one patient, one of which tells its name, and one of nobody."""
    monkeypatch.setenv("TFADVSEG_SALT", "a salt for the tests")
    root = tmp_path / "dicom"
    for name, identifier in (("first", "MRN-1"), ("mrn1_follow-up", "MRN-1"), ("other", "")):
        for z in range(2):
            position = [0, 0, z]
            file = root / "images" / name / f"{z}.dcm"
            write_slice(file, BLANK, PatientID=identifier, ImagePositionPatient=position)
    write_nifti(root / "masks" / "first.nii.gz")
    return root


def test_dicom_patients_have_pseudonyms_and_no_name_tells_them(series):
    one, two, three = read_data_folder(series, r"^(o)", series="3").cases
    assert one.patient == two.patient == pseudonym("MRN-1")
    assert three.patient == "o"
    assert (one.name, three.name) == ("first", "other")
    assert one.mask == series / "masks" / "first.nii.gz"
    assert two.name == pseudonym("mrn1_follow-up", "case")
    assert one.image == Source((series / "images" / "first",), series="3")


def test_dicom_identifiers_are_kept_on_demand(series):
    one, two, three = read_data_folder(series, r"^(o)", keep_identifiers=True).cases
    assert one.patient == two.patient == "MRN-1"
    assert two.name == "mrn1_follow-up"
    pool = read_unlabelled_folder(series, r"^(o)", keep_identifiers=True)
    assert [case.patient for case in pool] == ["MRN-1", "MRN-1", "o"]


def test_a_table_wins_over_the_dicom_header(series):
    (series / "cases.csv").write_text("file,patient\nfirst,A\nmrn1_follow-up,A\n")
    cases = read_data_folder(series, r"^(o)").cases
    assert [case.patient for case in cases] == ["A", "A", "o"]


def test_dicom_files_are_images_of_their_own_and_series_goes_with_folders_alone(series):
    shutil.move(series / "images" / "first" / "0.dcm", series / "images" / "single.dcm")
    cases = {case.name: case for case in read_data_folder(series, r"^(o)", series="7").cases}
    assert cases["single"].patient == pseudonym("MRN-1")
    assert cases["single"].image.series is None and cases["first"].image.series == "7"


# Damage


def damaged(content, seed):
    """The bytes with one of: a byte changed, a piece cut out, a piece doubled, the end lost."""
    random = np.random.default_rng(seed)
    start, stop = sorted(random.integers(0, len(content), 2).tolist())
    return [
        content[:start] + bytes([random.integers(256)]) + content[start + 1 :],
        content[:start] + content[stop:],
        content[:stop] + content[start:],
        content[:start],
    ][seed % 4]


@pytest.mark.parametrize("kind", ["folder", "table", "nnunet", "mapped", "decathlon"])
def test_damaged_tables_and_descriptions_are_read_or_refused_in_one_line(tmp_path, kind):
    root, file = tmp_path, tmp_path / "dataset.json"
    if kind == "decathlon":
        decathlon(tmp_path)
    elif kind == "table":
        text = 'image,mask,patient,split\np1/ct.png,"p1/mask.png",A,val\np2/scan.png,,B,\n'
        root = file = table(tmp_path, text)
    else:
        nnunet(tmp_path, labels={**LABELS, "ignore": 3}, window=[0, 1.5], ignore_label=3)
    if kind == "mapped":
        case = {"images": ["imagesTr/a1_0000.nii.gz"], "label": "labelsTr/a1.nii.gz"}
        rewrite(tmp_path, dataset={"a1": case})
    if kind == "folder":
        (tmp_path / "imagesTr").rename(tmp_path / "images")
        file = tmp_path / "cases.csv"
        file.write_text('file,patient,split\na1_0000.nii.gz,"p 1",val\na2_0000,p2,train\n')
    content, refusals = file.read_bytes(), 0
    for seed in range(150):
        file.write_bytes(damaged(content, seed))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                read_data_folder(root, r"(.)")
        except InputError as error:
            assert str(error).isprintable() and str(tmp_path) in str(error)
            refusals += 1
    assert refusals > 50
