"""The assertions of `edgeseg.testing` let through what is within its limit, and say everything where it is not."""

import pytest

from edgeseg.artifacts import RuleResult
from edgeseg.testing import assert_dice, assert_dice_drop, assert_latency, assert_lost_polyps, assert_passed
from tests.proof.verdicts import row, verdict

BROKEN = (
    RuleResult(rule="mean Dice drop", passed=False, reasons=("mean Dice drop 0.3000 is beyond 0.0200",)),
    RuleResult(rule="enough images", passed="undecided", reasons=("2 of 6 images show something",)),
    RuleResult(rule="latency", passed=True, reasons=("p99 is within its limit",)),
)
WORSE = verdict(
    row("fine", 0.91),
    row("poor", 0.7),
    row("lost", 0.1),
    row("empty", 0.0, finite=False),
    lost=("lost", "empty"),
    passed=False,
    rules=BROKEN,
    next_command="edgeseg advise model.onnx --data DATA",
)
"""The drops are -0.01, 0.2, 0.8 and 0.9."""


def said(assertion, *arguments, **limits) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        assertion(*arguments, **limits)
    return str(caught.value).splitlines()


def test_what_is_within_its_limit_says_nothing() -> None:
    good = verdict()
    assert_passed(good)
    assert_dice(good, at_least=0.89)
    assert_dice_drop(good, at_most=0.011)
    assert_lost_polyps(good)
    assert_latency(good, p50_ms=8, p99_ms=12.5)
    assert_latency(good)


def test_a_verdict_that_did_not_pass_has_its_reasons_and_no_others() -> None:
    lines = said(assert_passed, WORSE)
    assert lines[:3] == [
        "the verdict is: failed",
        "  - mean Dice drop 0.3000 is beyond 0.0200",
        "  - 2 of 6 images show something",
    ]
    assert said(assert_passed, verdict(passed="undecided", rules=()))[1] == "  - mean Dice drop 0.0100 is within 0.0200"


def test_the_worst_images_and_the_next_command() -> None:
    assert said(assert_dice_drop, WORSE, at_most=0.2)[1:] == [
        "worst images:",
        "  empty: Dice 0.0000 (reference 0.9000), polyp lost, no finite output",
        "  lost: Dice 0.1000 (reference 0.9000), polyp lost",
        "  poor: Dice 0.7000 (reference 0.9000)",
        "next: edgeseg advise model.onnx --data DATA",
    ]


def test_each_names_what_was_measured_and_the_limit() -> None:
    drop = said(assert_dice_drop, WORSE, at_most=0.2)[0]
    assert drop == "mean Dice drop 0.4725 is beyond 0.2 (95 % interval +0.0040 to +0.0160, 4 images)"
    assert said(assert_dice, WORSE, at_least=0.5)[0] == "mean Dice 0.4275 is below 0.5 (fp32 reference 0.9000)"
    lost = said(assert_lost_polyps, WORSE, at_most=1)[0]
    assert lost == "2 of 4 polyps that the reference finds are lost, 1 may be"
    assert said(assert_latency, WORSE, p50_ms=5, p99_ms=12) == [
        "p50 8.00 ms is beyond 5 ms, p99 12.50 ms is beyond 12 ms (200 images on a processor)",
        "next: edgeseg advise model.onnx --data DATA",
    ]


def test_a_limit_of_nan_lets_nothing_through() -> None:
    nan = float("nan")
    said(assert_dice, verdict(), at_least=nan)
    said(assert_dice_drop, verdict(), at_most=nan)
    said(assert_latency, verdict(), p50_ms=nan)


def test_polyps_that_were_never_counted_are_not_taken_for_found() -> None:
    assert said(assert_lost_polyps, verdict(polyps=None))[0].startswith("polyps were not counted")
