from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.artifacts import ClipVerdict, Verdict

pytest.importorskip("torch")

from edgeseg.cli.demo import _text
from edgeseg.demo import RECIPE_SETTINGS, DemoResult, EngineRow
from edgeseg.train.recipe import read_recipe

DROP = "mean Dice drop 0.0105 is beyond 0.0050"


def row(precision: str, passed: bool | str | None = True, reason: str = "within") -> EngineRow:
    verdict = None if passed is None else Verdict.model_construct(passed=passed, reasons=(reason,))
    return EngineRow("onnxruntime", precision, Path("e"), 1, 0, 44, verdict)  # type: ignore[arg-type]


def result(*rows: EngineRow) -> DemoResult:
    clips = ClipVerdict.model_construct(passed="undecided", reasons=("one clip",))
    return DemoResult(rows, Path("page"), Path("clip"), clips, Path("clips"), 1.0)


def test_nothing_speaks_against_int8_where_its_engine_passed() -> None:
    demo = result(row("fp32"), row("int8"), row("int8", None))
    assert demo.passed
    assert demo.against_int8 is None


@pytest.mark.parametrize("passed", [False, "undecided"])
def test_an_int8_engine_that_did_not_pass_is_a_sentence_and_a_failure(passed: bool | str) -> None:
    demo = result(row("fp32"), row("int8", passed, DROP))
    assert not demo.passed
    assert demo.against_int8 == f"INT8 is not for this machine: {DROP}. Use the fp32 or fp16 engine here."


def test_float32_in_the_place_of_int8_is_a_sentence_and_no_failure() -> None:
    reason = "INT8 takes 1.20 of float32's time on this processor"
    demo = result(row("fp32"), replace(row("fp32"), instead_of_int8=reason))
    assert demo.passed
    assert demo.against_int8 == f"INT8 is not for this machine: {reason}. Its engine computes in float32 instead."


def test_the_sentence_ends_the_text_and_the_recipe_leaves_the_precision_to_the_machine() -> None:
    demo = result(replace(row("fp32", None), instead_of_int8="no gain"))
    assert _text(demo).endswith("Its engine computes in float32 instead.")
    assert demo.rows[0].to_dict()["instead_of_int8"] == "no gain"
    assert read_recipe(None, RECIPE_SETTINGS).training.precision == "auto"
