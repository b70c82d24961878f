"""The proof that ranking beats chance: which runs it makes, and its tables."""

import json
import queue
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `benchmarks` is no part of the package

from benchmarks.ranking import labels_alone, run, table  # noqa: E402
from tfadvseg.config import Config, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.run_folder import write_text  # noqa: E402

RANKED = {0: ["p3", "p1", "p2", "p4"], 1: ["p4", "p3", "p2", "p1"]}


def test_the_first_two_are_added_and_as_many_at_random():
    jobs = run._jobs(RANKED, draws=2)
    assert [(seed, choice) for seed, choice, _ in jobs] == [
        *((0, "ranked"), (0, "random0"), (0, "random1")),
        *((1, "ranked"), (1, "random0"), (1, "random1")),
    ]
    assert [added for _, choice, added in jobs if choice == "ranked"] == [
        ["p3", "p1"],
        ["p4", "p3"],
    ]
    drawn = [added for _, choice, added in jobs if choice != "ranked"]
    assert all(len(set(added)) == 2 and set(added) <= set(RANKED[0]) for added in drawn)
    assert len({tuple(sorted(added)) for added in drawn}) > 1


def test_chance_does_not_depend_on_the_ranking():
    turned = {seed: names[::-1] for seed, names in RANKED.items()}
    draws = [
        [job for job in run._jobs(order, 2) if job[1] != "ranked"] for order in (RANKED, turned)
    ]
    assert draws[0] == draws[1]


def test_a_run_with_other_settings_is_not_taken(tmp_path):
    """It would stand in the table under a false name."""
    bench = run.Bench(tmp_path / "data", tmp_path, ("steps=20",), queue.Queue())
    wanted = read_settings(run.CONFIG) | {"recipe": "strong", "discriminator_filters": None}
    for name, settings in (("same", {"steps": 20}), ("other", {"steps": 30})):
        config = Config.from_mapping({**wanted, "labelled_patients": ["a", "b"], **settings})
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / "config.yaml", config.to_yaml())
        write_text(tmp_path / name / "metrics.json", "{}")
    assert bench.fit("same", 0, ["a", "b"]) == tmp_path / "same"
    for name, patients in (("other", ["a", "b"]), ("same", ["a", "c"])):
        with pytest.raises(InputError, match=r"this run has (steps 30|labelled_patients)"):
            bench.fit(name, 0, patients)


def test_tables_on_handmade_files(tmp_path):
    (tmp_path / table.CHOICES).write_text(
        "seed,choice,added,dice\n"
        "0,base,,0.5\n0,ranked,a b,0.66\n0,random0,c d,0.6\n0,random1,a c,0.62\n"
        "1,base,,0.4\n1,ranked,a b,0.5\n1,random0,c d,0.51\n1,random1,a c,0.51\n"
    )
    rows = [f"0,{place},p{place},{9 - place},{0.9 - place / 10}\n" for place in range(1, 5)]
    (tmp_path / table.ERRORS).write_text(
        "seed,patient_rank,patient,benefit,error\n" + "".join(rows) + "1,1,a,2,0.1\n1,2,b,1,0.2\n"
    )
    lines = table.tables(tmp_path).splitlines()
    assert "| 0 | 0.500 | 0.600, 0.620 | 0.660 | +5.0 |" in lines
    assert "| 1 | 0.400 | 0.510, 0.510 | 0.500 | -1.0 |" in lines
    assert "| mean |  |  |  | +2.0 ±4.2 |" in lines
    assert "| 0 | 4 | 1.00 |" in lines and "| 1 | 2 | -1.00 |" in lines
    assert not any("Precision" in line for line in lines)  # nothing is known of it


def test_other_devices_and_precisions_are_told(tmp_path):
    runs = [f"0,{choice},,0.5,Big,bfloat16\n" for choice in ("base", "ranked", "random0")]
    runs += [f"1,{choice},,0.5,CPU,float32\n" for choice in ("base", "ranked", "random0")]
    (tmp_path / table.CHOICES).write_text(
        "seed,choice,added,dice,device,precision\n" + "".join(runs)
    )
    (tmp_path / table.ERRORS).write_text("seed,patient_rank,patient,benefit,error\n")
    text = table.tables(tmp_path)
    assert "Trained on Big: base of seed 0, ranked of seed 0, random0 of seed 0.\n" in text
    assert "Precision: bfloat16 for seeds 0; float32 for seeds 1.\n" in text


def test_results_of_other_seeds_stay(tmp_path):
    file = tmp_path / "table.csv"
    run.keep(file, [{"seed": 2, "dice": 0.5}, {"seed": 10, "dice": 0.6}])
    run.keep(file, [{"seed": 3, "dice": 0.7}, {"seed": 2, "dice": 0.8}])
    assert file.read_text() == "seed,dice\n2,0.8\n3,0.7\n10,0.6\n"


def test_labels_alone_takes_the_patients_of_each_choice_with_made_up_runs(
    tmp_path, shared_phantom, monkeypatch
):
    """3 + 2 patients of seed 1, by recipe supervised; the seed that is not asked for stays out."""
    header = "seed,choice,added,dice\n"
    rows = "".join(f"{n},base,,0.5\n{n},ranked,a b,0.6\n{n},random0,c d,0.6\n" for n in (0, 1))
    (tmp_path / table.CHOICES).write_text(header + rows)
    calls = []

    def fit(bench, name, seed, patients):
        calls.append((name, seed, patients, bench.settings[-1]))
        folder = bench.work / name
        folder.mkdir()
        write_text(folder / "config.yaml", "precision: float32\n")
        scores = {"foreground": {"dice": 0.7 + 0.1 * name.startswith("alone_ranked")}}
        write_text(folder / "metrics.json", json.dumps({"pooled": {**scores, "per_class": {}}}))
        return folder

    monkeypatch.setattr(run.Bench, "fit", fit)
    monkeypatch.setattr(labels_alone, "labelled_at_first", lambda data, seed: ["x", "y", "z"])
    paths = ("--data", shared_phantom, "--work", tmp_path / "work", "--results", tmp_path)
    monkeypatch.setattr(sys, "argv", ["labels_alone.py", *map(str, paths), "--seeds", "1"])
    labels_alone.main()
    assert sorted(calls) == [
        ("alone_random0_1", 1, ["x", "y", "z", "c", "d"], "recipe=supervised"),
        ("alone_ranked_1", 1, ["x", "y", "z", "a", "b"], "recipe=supervised"),
    ]
    text = table.choices(table.read(tmp_path / table.ALONE))
    assert "| 1 | - | 0.700 | 0.800 | +10.0 |" in text


def test_labels_alone_names_the_seeds_that_were_not_ranked(tmp_path):
    file = tmp_path / table.CHOICES
    with pytest.raises(InputError, match=r"lacks 0, 1; run .*run\.py"):
        labels_alone.added_patients(file, ["0", "1"])
    file.write_text("seed,choice,added,dice\n0,base,,0.5\n0,ranked,a b,0.6\n")
    assert labels_alone.added_patients(file, ["0"]) == {0: {"ranked": ["a", "b"]}}
    with pytest.raises(InputError, match="lacks 1; "):
        labels_alone.added_patients(file, ["0", "1"])
