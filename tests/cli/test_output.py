"""Tests of what commands print: tables that fit a terminal, progress that stays out of logs."""

import pytest

from edgeseg.cli.output import grid, table, track

COLUMNS = ["image", "Dice", "sensitivity", "surface Dice within 2 px", "95 % interval of the Dice"]
ROWS = [["a_long_name_of_an_image", "0.9876", "0.1234", "1.0000", "+0.1575 to +0.9233"]] * 2


def test_figures_stay_whole_where_headers_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = table("Images", COLUMNS, ROWS).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].split() == " ".join(ROWS[0]).split()
    monkeypatch.setenv("COLUMNS", "120")
    wide = table("Images", COLUMNS, ROWS).splitlines()
    assert wide[1].split() == " ".join(COLUMNS).split()
    assert len(wide) == 3 + len(ROWS)


def test_a_table_without_rows_is_its_head() -> None:
    assert "Dice" in table("None", COLUMNS, [])


def test_words_fold_and_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = grid("Checks", ["check", "found"], [["a", "[bold] " + "word " * 40]])
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]" in text and text.count("word") == 40


def test_progress_leaves_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2, 3], "counting")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
