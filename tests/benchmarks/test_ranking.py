"""The proof that ranking beats chance: which runs it makes, and its tables."""

import json
import queue
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `benchmarks` is no part of the package

from benchmarks.ranking import many_pairs, run, table  # noqa: E402
from tfadvseg.config import Config, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.ranking.ranking import Patients  # noqa: E402
from tfadvseg.ranking.selection import scaled  # noqa: E402
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


def test_gain_of_two_patients_by_hand():
    """On a line, root mean square distance 1: three unknown patients, one labelled at its end."""
    spots = np.array([[0.0], [0.4], [1.0], [1.6]])
    every = scaled(spots)[:, 0]
    new = Patients(["a", "b", "c"], np.array([1.0, 2.0, 1.0]), spots[:3])
    old = Patients(["z"], np.ones(1), spots[3:])
    novelty = np.minimum(1, np.abs(every[:3] - every[3]))
    unknown = (new.benefit * novelty).sum()
    nearer = max(0, novelty[2] - min(abs(every[2] - every[0]), abs(every[2] - every[1])))
    own_of_b = 2 * min(novelty[1], abs(every[1] - every[0])) / 2
    for_a = max(0, novelty[1] - abs(every[1] - every[0])) * 2 + novelty[0] / 2
    expected = (for_a + own_of_b + nearer) / unknown
    assert many_pairs.gain_of_both(new, old, ["a", "b"]) == pytest.approx(expected, rel=1e-5)


def test_many_pairs_on_handmade_rows():
    """Seed 10 comes after 9; two of the eight choices of signs reach a sum of 5 points."""

    def rows(seed, lead):
        runs = [(f"pair{n}", 0.5 + n / 100, n / 10) for n in range(3)]
        runs += [(f"ranked{n}", 0.51 + lead, 0.4) for n in range(2)] + [("ranked2", 0.0, 0.4)]
        return [
            {"seed": seed, "choice": name, "dice": str(dice), "gain": str(gain)}
            for name, dice, gain in runs
        ]

    lines = table.many_pairs([*rows("10", 0.02), *rows("9", -0.01), *rows("8", 0.04)]).splitlines()
    assert lines[3] == "| 9 | 3, 3 | 0.500 (0.40) | 0.510 (0.10) | -1.0 |"
    assert lines[4] == "| 10 | 3, 3 | 0.530 (0.40) | 0.510 (0.10) | +2.0 |"
    assert lines[5] == "| mean |  |  |  | +1.7 ±2.5 |"
    assert "with probability 0.25." in lines[-1]
    # Means: a third of each ranked Dice and of its lead is lost.
    assert lines[-1].endswith("difference is -15.9 ±1.7 points, probability 1.")


def test_by_signs_by_hand():
    assert table._by_signs(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert table._by_signs(np.array([-1.0, 2.0, 3.0])) == 2 / 8
    assert table._by_signs(np.array([-1.0, -2.0])) == 1


def test_explored_rules_on_handmade_rows():
    dice = np.arange(8) / 100
    rows = [
        {"instrument": kind, "seed": "4", "dice": str(d), "old": str(-d), "new": str(d * d)}
        for kind in ("tiny", "small")
        for d in dice
    ]
    lines = table.explored(rows, ["old", "new"]).splitlines()
    assert lines[2] == "| small | 4 | 8 | -1.00 | +1.00 |"
    assert lines[4] == "| mean |  |  | -1.00 | +1.00 |"
    assert lines[5] == "| by chance |  |  | 1 | 0.0001 |"


def test_many_pairs_trains_small_networks_in_turn_with_made_up_runs(tmp_path, monkeypatch):
    """As many of each seed one after the other, ranked and at random with the same weights."""
    calls = []

    def fit(bench, name, seed, patients):
        calls.append((name, seed, patients, bench.settings))
        folder = bench.work / name
        folder.mkdir()
        write_text(folder / "config.yaml", "precision: float32\n")
        scores = {"foreground": {"dice": len(calls) / 100}}
        write_text(folder / "metrics.json", json.dumps({"pooled": {**scores, "per_class": {}}}))
        write_text(folder / "split.json", json.dumps({"patients": {"labelled": ["x", "y", "z"]}}))
        return folder

    pool = ["p4", "p2", "p1", "p3"]
    monkeypatch.setattr(run.Bench, "fit", fit)
    monkeypatch.setattr(run.Bench, "rank", lambda self, seed: [{"patient": own} for own in pool])
    monkeypatch.setattr(
        many_pairs, "gains_of", lambda bench, seed, pairs: [0.1 * seed for _ in pairs]
    )
    paths = ("--data", tmp_path, "--work", tmp_path / "work", "--results", tmp_path)
    more = ("--seeds", "1,2", "--draws", "2", "--set", "depth=1")
    monkeypatch.setattr(sys, "argv", ["many_pairs.py", *map(str, (*paths, *more))])
    monkeypatch.setattr(many_pairs, "many_pairs", lambda rows: f"{len(rows)} rows")
    many_pairs.main()
    names = ("ranked0", "pair0", "ranked1", "pair1")
    assert [name for name, *_ in calls] == ["base_1", "base_2"] + [
        f"{choice}_{seed}" for choice in names for seed in (1, 2)
    ]
    assert [seed for _, seed, *_ in calls[2:]] == [100, 200, 100, 200, 101, 201, 101, 201]
    small = [settings for name, *_, settings in calls if "base" not in name]
    assert all("recipe=supervised" in own and own[-1] == "depth=1" for own in small)
    assert calls[0][3] == ()
    assert calls[2][2] == calls[6][2] == ["x", "y", "z", "p4", "p2"]
    rows = table.read(tmp_path / table.PAIRS)
    assert [row["gain"] for row in rows] == ["0.1"] * 4 + ["0.2"] * 4
    assert len({row["added"] for row in rows if "pair" in row["choice"]}) > 2
