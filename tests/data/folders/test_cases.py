import csv
import json

import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import read_data_folder, read_unlabelled_folder
from tfadvseg.data.folders.split import split_cases
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Source
from tfadvseg.errors import DataWarning, InputError

BLANK = np.zeros((8, 8), np.uint8)


def make_folder(root, patients=6, slices=2, unlabelled=(), splits=None, table=True):
    rows = []
    for patient in range(patients):
        for number in range(slices):
            name = f"p{patient}_s{number}.png"
            write_png(root / "images" / name, BLANK)
            if f"p{patient}" not in unlabelled:
                write_png(root / "masks" / name, BLANK)
            rows.append([name, f"p{patient}", *([splits[patient]] if splits else [])])
    if table:
        with (root / "cases.csv").open("w", newline="") as stream:
            header = ["file", "patient", *(["split"] if splits else [])]
            csv.writer(stream).writerows([header, *rows])
    return root


def split_of(root, **settings):
    return split_cases(read_data_folder(root), (), Config(**settings))


def patients(cases):
    return {case.patient for case in cases}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("labelled", [None, 1, 2])
def test_no_patient_is_in_two_parts(tmp_path, seed, labelled):
    root = make_folder(tmp_path, patients=7, unlabelled=("p6",))
    split = split_of(root, seed=seed, test_patients=2, val_patients=1, labelled_patients=labelled)
    training = patients(split.labelled) | patients(split.unlabelled)
    parts = [training, patients(split.val), patients(split.test)]
    assert not any(a & b for i, a in enumerate(parts) for b in parts[:i])
    assert not patients(split.labelled) & patients(split.unlabelled)
    assert set().union(*parts) == {f"p{i}" for i in range(7)}
    assert all(case.mask is None for case in split.unlabelled)


def test_split_depends_on_the_seed_and_on_nothing_else(tmp_path):
    root = make_folder(tmp_path, patients=12)
    splits = [split_of(root, seed=seed, test_patients=3).to_json() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_smaller_label_budgets_are_subsets_of_larger_ones(tmp_path):
    root = make_folder(tmp_path, patients=12)
    budgets = [patients(split_of(root, labelled_patients=n).labelled) for n in (1, 3, 6)]
    assert [len(budget) for budget in budgets] == [1, 3, 6]
    assert budgets[0] < budgets[1] < budgets[2]


def test_one_labelled_patient_is_too_few_for_recipe_strong(tmp_path):
    root = make_folder(tmp_path, patients=1)
    with pytest.raises(InputError, match=r"leave none for training; label more patients, or set"):
        split_of(root)
    with pytest.raises(InputError, match=r"label another patient, or take --recipe paper and "):
        split_of(root, recipe="strong")


def test_names_fractions_and_the_split_column_are_honoured(tmp_path):
    splits = ["train", "train", "train", "val", "test", "test"]
    root = make_folder(tmp_path, splits=splits)
    split = split_of(root, labelled_fraction=1 / 3)
    assert patients(split.val) == {"p3"} and patients(split.test) == {"p4", "p5"}
    assert len(patients(split.labelled)) == 1 and len(patients(split.unlabelled)) == 2
    named = split_of(root, labelled_patients=["p1"], test_patients=["p5"])
    assert patients(named.labelled) == {"p1"} and patients(named.test) == {"p5"}


def test_unlabelled_images_of_held_out_patients_are_left_out_aloud(tmp_path):
    root = make_folder(tmp_path / "data", patients=5)
    write_png(root / "images" / "p0_extra.png", BLANK)
    table = root / "cases.csv"
    table.write_text(table.read_text() + "p0_extra.png,p0\n")
    pool = make_folder(tmp_path / "pool", patients=6, unlabelled=[f"p{i}" for i in range(6)])
    with pytest.warns(DataWarning, match="3 unlabelled images of validation or test"):
        split = split_cases(
            read_data_folder(root),
            read_unlabelled_folder(pool),
            Config(test_patients=["p0"], val_patients=0),
        )
    assert "p0" not in patients(split.unlabelled) and "p5" in patients(split.unlabelled)


def test_patients_come_from_a_pattern_or_each_file_is_one_aloud(tmp_path):
    root = make_folder(tmp_path, patients=3, table=False)
    folder = read_data_folder(root, r"^(p\d+)_")
    assert patients(folder.cases) == {"p0", "p1", "p2"}
    with pytest.warns(DataWarning, match="6 of 6 images .* no known patient"):
        assert len(patients(read_data_folder(root).cases)) == 6


def test_refuses_a_pattern_that_finds_no_patient(tmp_path):
    root = make_folder(tmp_path, patients=1, table=False)
    for pattern, words in [
        (r"^(q\d)", r"finds no patient in p0_s0\.png"),
        (r"^(q)?", r"finds no patient in p0_s0\.png"),
        (r"^p\d", "expected a group in round brackets"),
        (r"(", "is no regular expression"),
    ]:
        with pytest.raises(InputError, match=words):
            read_data_folder(root, pattern)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test_patients": 6}, "test_patients: 6 of the 6"),
        ({"test_patients": 3, "val_patients": 3}, "val_patients: 3 of the 3"),
        ({"labelled_patients": 9, "val_patients": 1}, "labelled_patients: expected at most 5"),
        ({"test_patients": ["p9"]}, "received p9"),
        ({"labelled_patients": ["p0"], "test_patients": ["p0"]}, "received p0"),
    ],
)
def test_refuses_more_patients_than_there_are(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        split_of(make_folder(tmp_path), **settings)


def test_refuses_a_patient_in_two_splits(tmp_path):
    root = make_folder(tmp_path, splits=["train"] * 6)
    text = (root / "cases.csv").read_text().replace("p0_s0.png,p0,train", "p0_s0.png,p0,test")
    (root / "cases.csv").write_text(text)
    with pytest.raises(InputError, match="patient p0 is in two splits"):
        read_data_folder(root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,patient\n", "columns file,patient"),
        ("file,patient\nx.png,p0\n", r"no image is named x\.png; remove"),
        ("file,patient,split\np0_s0.png,p0,later\n", "expected train, val or test"),
        ("file,patient\np0_s0.png,\n", "has no patient"),
        ("", "columns file,patient.*received none"),
        ("file;patient\np0_s0.png;p0\n", "received file;patient"),
        ("file,patient,patient\np0_s0.png,p0,p1\n", "two columns are named patient"),
        ("file,patient,split\np0_s0.png,p0\n", "line 2: expected 3 values .* received 2"),
        ("file,patient\np0_s0.png,p0,test\n", "line 2: expected 2 values .* received 3"),
        ("file,patient\np0_s0.png,p0\np0_s0.png,p1\n", "line 3: p0_s0 is listed before"),
        ('file,patient\n"p0_s0.png,p0\n', "unexpected end of data"),
        (f"file,patient\n{'x' * 200_000},p0\n", "field larger than field limit"),
        (f"file,patient\n{'x' * 9_000},p0\n", r"no image is named x{160}\.\.\.;"),
        ("file,patient\np0_s0.png,\0\n", "zero byte"),
        ("file,patient\n" + "".join(f"n{i}.png,p\n" for i in range(9)), "n4.png and 4 more"),
    ],
)
def test_refuses_a_table_that_does_not_fit(tmp_path, text, words):
    root = make_folder(tmp_path)
    (root / "cases.csv").write_text(text)
    with pytest.raises(InputError, match=rf"cases\.csv.*{words}"):
        read_data_folder(root)


def test_a_table_may_come_from_a_spreadsheet(tmp_path):
    root = make_folder(tmp_path, patients=1, slices=2)
    text = "\ufefffile, patient,age,\r\n p0_s0.png ,p7,61,\r\n\r\nimages/p0_s1.png,p7 ,,\r\n"
    (root / "cases.csv").write_text(text, encoding="utf-8", newline="")
    assert patients(read_data_folder(root).cases) == {"p7"}


def test_text_that_is_not_utf_8_is_refused_with_its_place(tmp_path):
    root = make_folder(tmp_path)
    (root / "cases.csv").write_bytes(b"file,patient\np0_s0.png,M\xfcller\n")
    with pytest.raises(InputError, match=r"cases\.csv: expected text in UTF-8.*0xfc at 24"):
        read_data_folder(root)


def test_dataset_json_gives_names_in_the_order_of_their_indices(tmp_path):
    root = make_folder(tmp_path)
    content = {"labels": {"vein": 2, "background": 0, "artery": 1}, "window": [0, 255]}
    (root / "dataset.json").write_text(json.dumps(content))
    folder = read_data_folder(root)
    assert folder.classes == ("background", "artery", "vein")
    assert folder.window == (0, 255)


@pytest.mark.parametrize("window", ["percentile", "lung", "C300 W600"])
def test_a_window_may_be_a_name(tmp_path, window):
    root = make_folder(tmp_path)
    (root / "dataset.json").write_text(json.dumps({"window": window, "labels": None}))
    folder = read_data_folder(root)
    assert (folder.window, folder.classes, folder.ignore_label) == (window, None, None)


def test_the_ignored_value_is_a_key_or_a_label(tmp_path):
    root = make_folder(tmp_path)
    labels = {"background": 0, "artery": 1}
    for content in (
        {"labels": labels, "ignore_label": 2},
        {"labels": {**labels, "ignore": 2}},
        {"labels": {**labels, "ignore": 2}, "ignore_label": 2},
    ):
        (root / "dataset.json").write_text(json.dumps(content))
        folder = read_data_folder(root)
        assert (folder.classes, folder.ignore_label) == (("background", "artery"), 2)


TWO = '"labels": {"background": 0, "a": 1}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected a JSON object"),
        ("[]", r"expected a JSON object, \{...\}, received \[\]"),
        ("[" * 100_000, "expected a JSON object"),
        ("1" * 5000, "expected a JSON object"),
        ('{"labels": {"a": 1}}', "with the indices 0, 1, 2"),
        ('{"labels": {"a": 0}}', "with the indices 0, 1, 2"),
        ('{"labels": {"a": "x"}}', "with the indices 0, 1, 2"),
        ('{"labels": {"a": false, "b": true}}', "with the indices 0, 1, 2"),
        ('{"labels": {"a": 0, "b": 2}}', "with the indices 0, 1, 2"),
        ('{"labels": {"0": "a", "1": "a"}}', "with the indices 0, 1, 2"),
        ('{"labels": {"0": "a", "\u00b2": "b"}}', "with the indices 0, 1, 2"),
        ('{"labels": {"a": 0, "\\ud800": 1}}', r"'\\ud800' is no class name"),
        ('{"labels": {"a": 0, " ": 1}}', "' ' is no class name"),
        ('{"labels": [1]}', "with the indices 0, 1, 2"),
        ('{"labels": {"background": 0, "all": [1, 2], "core": 2}}', "all is a region .*1, 2"),
        (f'{{{TWO}, "ignore_label": 0}}', "index from 1 to 255, received .0"),
        (f'{{{TWO}, "ignore_label": 256}}', "index from 1 to 255"),
        (f'{{{TWO}, "ignore_label": true}}', "index from 1 to 255"),
        (f'{{{TWO}, "ignore_label": 2.0}}', "index from 1 to 255"),
        (f'{{{TWO}, "ignore_label": "void"}}', 'received \\["void"'),
        (f'{{{TWO}, "ignore_label": 1}}', "the value 1 is ignored and is the class a"),
        ('{"labels": {"b": 0, "a": 1, "ignore": 2}, "ignore_label": 3}', "drop one"),
        ('{"window": 3}', "window a name or"),
        ('{"window": [0]}', "window a name or"),
        ('{"window": [0, NaN]}', "NaN is no number"),
        ('{"window": [0, 1e999]}', "window a name or"),
        ('{"window": [0, true]}', "window a name or"),
        ('{"window": [3, 1]}', "window: expected low < high"),
        ('{"window": "wide"}', "window: expected .*received 'wide'"),
        ('{"name": "\0"}', "zero byte"),
    ],
)
def test_refuses_a_dataset_json_that_does_not_fit(tmp_path, text, words):
    root = make_folder(tmp_path)
    (root / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"dataset\.json.*{words}") as caught:
        read_data_folder(root)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700


def test_refuses_masks_without_images_and_names_used_twice(tmp_path):
    root = make_folder(tmp_path)
    write_png(root / "masks" / "stray.png", BLANK)
    with pytest.raises(InputError, match="stray without an image"):
        read_data_folder(root)
    (root / "masks" / "stray.png").unlink()
    for folder in ("masks", "images"):
        second = root / folder / "p0_s0.nii.gz"
        second.write_bytes(b"")
        with pytest.raises(InputError, match=rf"{folder}/p0_s0\.png: the same name as p0_s0\.nii"):
            read_data_folder(root)
        second.unlink()


def test_a_mask_may_have_another_format_than_its_image(tmp_path):
    root = make_folder(tmp_path, patients=1, slices=1)
    (root / "masks" / "p0_s0.png").rename(root / "masks" / "p0_s0.nii.gz")
    (case,) = read_data_folder(root).cases
    assert case.name == "p0_s0" and case.mask == root / "masks" / "p0_s0.nii.gz"
    assert case.image == Source((root / "images" / "p0_s0.png",))


def test_refuses_a_name_that_cannot_be_written(tmp_path):
    root = make_folder(tmp_path, patients=1)
    write_png(root / "images" / "a\nb.png", BLANK)
    with pytest.raises(InputError, match=r"'a\\nb' cannot be the name of a case"):
        read_data_folder(root, r"(.)")


def test_test_patients_without_masks_never_train(tmp_path):
    splits = ["train", "train", "train", "val", "test", "test"]
    root = make_folder(tmp_path, splits=splits, unlabelled=("p5",))
    with pytest.warns(DataWarning, match="2 unlabelled images of validation or test"):
        split = split_of(root)
    assert patients(split.test) == {"p4"}
    assert "p5" not in patients(split.labelled) | patients(split.unlabelled)


def test_test_patients_by_name_may_lack_masks_where_others_have_some(tmp_path):
    root = make_folder(tmp_path, patients=6, unlabelled=("p5",))
    with pytest.warns(DataWarning, match="2 unlabelled images of validation or test"):
        split = split_of(root, test_patients=["p4", "p5"])
    assert patients(split.test) == {"p4"}
    assert "p5" not in patients(split.labelled) | patients(split.unlabelled)
    with pytest.raises(InputError, match="expected labelled patients among .*, received none"):
        split_of(root, test_patients=["p5"])
    with pytest.raises(InputError, match="received nobody"):
        split_of(root, test_patients=["p4", "nobody"])


def test_a_split_column_without_val_still_validates(tmp_path):
    root = make_folder(tmp_path, splits=["train"] * 5 + ["test"])
    split = split_of(root)
    assert len(patients(split.val)) == 1 and patients(split.test) == {"p5"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("test_patients", [3, ["p3", "p4"]])
def test_who_tests_does_not_validate_whatever_the_split_column_says(tmp_path, seed, test_patients):
    splits = ["train"] * 3 + ["val"] * 3 + ["test"]
    root = make_folder(tmp_path, patients=7, splits=splits)
    split = split_of(root, seed=seed, test_patients=test_patients)
    tested, validated = patients(split.test), patients(split.val)
    assert len(tested) == (3 if test_patients == 3 else 2) and not tested & validated
    assert validated == {"p3", "p4", "p5"} - tested or len(validated) == 1


def test_a_split_column_whose_val_patients_have_no_masks_still_validates(tmp_path):
    root = make_folder(tmp_path, splits=["train"] * 5 + ["val"], unlabelled=("p5",))
    split = split_of(root)
    assert len(patients(split.val)) == 1 and "p5" not in patients(split.val)


def test_the_images_folder_itself_is_refused_with_the_mend(tmp_path):
    root = make_folder(tmp_path)
    with pytest.raises(InputError, match=f"did you mean {root}"):
        read_data_folder(root / "images")
