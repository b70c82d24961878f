"""The tables of a sweep against numbers by hand."""

import pytest

from tfadvseg.report import tables
from tfadvseg.report.sweep import read_sweep
from tfadvseg.report.table import Cell, Table, headings, number, spread, to_html, to_latex


def by_fold(number, fraction, recipe, fold, seed):
    """Runs of 0.50, 0.60, 0.62 and 0.72, whatever the patient."""
    return [(0.5 + 0.1 * fold + 0.12 * seed + 0.05, 4.0), (0.45 + 0.1 * fold + 0.12 * seed, 6.0)]


def rows_of(table):
    return {row[0].text: row[1:] for row in table.rows if not isinstance(row, str)}


def test_mean_and_standard_deviation_are_over_folds_and_seeds(make_sweep):
    folder = make_sweep(by_fold, folds=2, seeds=2, patients=6, fractions=("1", "1/2"))
    table = tables.table_2(read_sweep(folder))
    assert [column.text for column in table.columns] == ["", "MIOU", "DICE", "S", "P", "HD95"]
    cells = rows_of(table)["U-Net, supervised"]
    # Mean 0.61; deviations -0.11, -0.01, 0.01, 0.11: the root of 0.0244 / 3.
    assert cells[1] == Cell("0.610", "±0.090")
    assert cells[2] == Cell("0.990", "±0.000")
    assert cells[4] == Cell("5.0", "±0.0")
    assert "2 folds and 2 seeds" in table.note


def test_every_reading_of_the_recipe_is_shown(make_sweep):
    sweep = read_sweep(make_sweep(by_fold, folds=2, fractions=("1", "1/2")))
    assert list(rows_of(tables.table_2(sweep))) == [
        "U-Net, supervised",
        "U-Net, adversarial",
        "U-Net, paper (trained as adversarial)",
    ]
    table = tables.table_3(sweep)
    assert table.rows[0] == "1/2 of the labels"
    assert list(rows_of(table)) == ["supervised", "adversarial", "paper"]


def test_rows_tell_which_runs_they_lack(make_sweep):
    folder = make_sweep(fractions=("1/2",), skip=("fold3_1-2_paper_unet_seed0",))
    labels = [row[0] for row in tables.table_3(read_sweep(folder)).rows[1:]]
    assert [cell.below for cell in labels] == ["", "", "4 of 5 runs"]


def test_several_models_are_named(make_sweep):
    folder = make_sweep(models=("unet", "attention_unet"), fractions=("1", "1/2"), folds=2)
    sweep = read_sweep(folder)
    assert [row for row in tables.table_3(sweep).rows if isinstance(row, str)] == [
        "U-Net, 1/2 of the labels",
        "Attention U-Net, 1/2 of the labels",
    ]
    assert "Attention U-Net, supervised" in rows_of(tables.table_2(sweep))


def test_each_class_has_its_column(make_sweep):
    folder = make_sweep(by_fold, folds=2, seeds=2, patients=6, fractions=("1/2",))
    table = tables.per_class(read_sweep(folder), "class_dice", "Dice", "dice")
    assert [column.text for column in table.columns] == ["", "aorta", "pulmonary artery"]
    assert [cell.text for cell in rows_of(table)["paper"]] == ["0.660", "0.560"]


def test_the_budget_counts_validation_labels(make_sweep):
    table = tables.budget(read_sweep(make_sweep(fractions=("1", "1/8"), patients=21)))
    # Folds of 4 or 5 test patients, 2 validate: 14 or 15 train.
    assert [cell.text for cell in table.rows[0]] == [
        "all labels",
        "14 to 15",
        "112 to 120",
        "2",
        "0",
    ]
    assert [cell.text for cell in table.rows[1]] == [
        "1/8 of the labels",
        "2",
        "16",
        "2",
        "12 to 13",
    ]


def test_what_is_not_defined_is_a_dash_and_one_value_has_no_deviation():
    assert spread([None, None]) == Cell("-")
    assert spread([0.5, None]) == Cell("0.500")
    assert number(None) == "-" and number(1.25, 1) == "1.2"


@pytest.fixture
def odd():
    rows = ("1/2 & more", (Cell("a_b <c> 50%", "3 of 4"), Cell("-0.10", "±0.02")))
    return Table("odd", "Odd & ends", headings("", "D#"), rows, "x < y")


def test_latex_escapes_what_tex_would_take_for_itself(odd):
    assert to_latex(odd).splitlines()[2:] == [
        "\\begin{tabular}{lr}",
        "\\toprule",
        " & D\\# \\\\",
        "\\midrule",
        "\\multicolumn{2}{l}{\\emph{1/2 \\& more}} \\\\",
        "a\\_b $<$c$>$ 50\\% (3 of 4) & $-$0.10 $\\pm$0.02 \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]


def test_html_escapes_what_a_browser_would_take_for_itself(odd):
    text = to_html(odd)
    assert "Odd &amp; ends" in text and "a_b &lt;c&gt; 50%<small>3 of 4</small>" in text
    assert "<c>" not in text and "x &lt; y" in text
