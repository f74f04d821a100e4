import json

import pytest

from edgeseg.artifacts import Verdict, VerdictLimits
from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.proof.timing.image_times import measure_latency
from edgeseg.proof.verdict.evaluation import NotFiniteError
from edgeseg.proof.verdict.latency_rules import judge_latency
from edgeseg.proof.verdict.non_inferiority import MIN_IMAGES
from edgeseg.proof.verdict.rules import Finding, conclude, limits_for

# With 20 bright rows and d dim rows, a network that misses the dim ones has Dice 40 / (40 + d); the reference has 1.


def test_an_engine_that_does_the_same_passes(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(), threshold_session(150, "int8"))
    assert verdict.passed is True
    assert (verdict.mean_dice, verdict.mean_dice_drop, verdict.mean_agreement) == (1, 0, 1)
    assert verdict.reasons == ("mean Dice drop 0.0000 is within 0.0050 (95 % interval +0.0000 to +0.0000, 8 images)",)


def test_a_worse_engine_fails_with_figures(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(8, dim_rows=10), threshold_session(150, "int8"))
    assert verdict.passed is False
    assert verdict.mean_dice == pytest.approx(40 / 50)
    assert verdict.reference_mean_dice == 1
    assert verdict.mean_dice_drop == pytest.approx(0.2)
    assert verdict.mean_agreement == pytest.approx(0.8)
    assert verdict.reasons[0].startswith("mean Dice drop 0.2000 is beyond 0.0050")


def test_the_mean_decides_not_the_worst_image(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8, dim_rows=[10] + [0] * 7)
    assert verdict_of(pairs, threshold_session(150), max_dice_drop=0.026).passed is True
    assert verdict_of(pairs, threshold_session(150), max_dice_drop=0.024).passed is False


def test_a_pass_says_when_its_interval_reaches_past_the_limit(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8, dim_rows=[10] + [0] * 7)
    assert "reaches past the limit" in verdict_of(pairs, threshold_session(150), max_dice_drop=0.026).reasons[0]
    assert "reaches past the limit" not in verdict_of(pairs, threshold_session(150), max_dice_drop=0.3).reasons[0]


@pytest.mark.parametrize(("limit", "passed"), [(-0.19, True), (-0.21, False)])
def test_a_negative_limit_demands_a_gain(make_pairs, threshold_session, verdict_of, limit: float, passed: bool) -> None:
    pairs = make_pairs(8, dim_rows=10)
    verdict = verdict_of(pairs, threshold_session(75), reference=threshold_session(150), max_dice_drop=limit)
    assert verdict.passed is passed
    assert "gain +0.2000" in verdict.reasons[0]
    assert "interval +0.2000 to +0.2000" in verdict.reasons[0]


def test_no_gain_is_not_enough_for_a_negative_limit(make_pairs, threshold_session, verdict_of) -> None:
    assert verdict_of(make_pairs(), threshold_session(75), max_dice_drop=-0.001).passed is False


def test_too_few_images_are_undecided(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(MIN_IMAGES - 1), threshold_session(150))
    assert verdict.passed == "undecided"
    assert "needed to decide" in verdict.reasons[0]


def test_too_few_images_still_fail_when_the_limit_is_broken(make_pairs, threshold_session, verdict_of) -> None:
    assert verdict_of(make_pairs(2, dim_rows=10), threshold_session(150)).passed is False


def test_enough_images_decide(make_pairs, threshold_session, verdict_of) -> None:
    assert verdict_of(make_pairs(MIN_IMAGES), threshold_session(150)).passed is True


def test_two_blind_networks_prove_nothing(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(), threshold_session(250), reference=threshold_session(251))
    assert (verdict.mean_dice_drop, verdict.passed) == (0, "undecided")


def test_images_without_polyps_prove_nothing(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(polyp_rows=0), threshold_session(250))
    assert (verdict.mean_dice, verdict.passed) == (1, "undecided")


def test_nan_fails_with_a_reason_even_where_its_empty_mask_would_score_one(
    make_pairs, threshold_session, verdict_of
) -> None:
    make_pairs(8)
    pairs = make_pairs(1, polyp_rows=0, prefix="without_polyp")
    verdict = verdict_of(pairs, threshold_session(150, nan_below=60), max_dice_drop=2)
    assert verdict.passed is False
    assert verdict.mean_dice == 0
    assert "NaN or infinity on 9 of 9 images" in verdict.reasons[0]
    assert "NaN" not in json.dumps(verdict.to_dict()["rows"])


def test_nan_on_one_image_fails(make_pairs, threshold_session, verdict_of) -> None:
    make_pairs(8)
    pairs = make_pairs(1, background=10, prefix="dark")
    verdict = verdict_of(pairs, threshold_session(150, nan_below=20), max_dice_drop=2)
    assert verdict.passed is False
    assert [row.finite for row in verdict.rows].count(False) == 1


def test_a_reference_of_nan_is_refused(make_pairs, threshold_session, verdict_of) -> None:
    with pytest.raises(NotFiniteError):
        verdict_of(make_pairs(), threshold_session(150), reference=threshold_session(150, nan_below=60))


def test_other_classes_are_refused(make_pairs, threshold_session, verdict_of) -> None:
    engine = threshold_session(150, classes=("instrument",))
    with pytest.raises(MismatchError, match="different things"):
        verdict_of(make_pairs(), engine)
    assert engine._sessions[0].calls == 0


def test_another_input_size_is_allowed(make_pairs, threshold_session, verdict_of) -> None:
    assert verdict_of(make_pairs(), threshold_session(150, size_px=24), max_dice_drop=0.05).passed is True


def test_no_pairs(threshold_session, verdict_of) -> None:
    with pytest.raises(BadInputError, match="nothing"):
        verdict_of([], threshold_session(150))


def test_p99_against_its_limit(make_pairs, threshold_session, verdict_of) -> None:
    slow = verdict_of(make_pairs(), threshold_session(150), max_p99_ms=1e-6)
    assert slow.passed is False
    assert "is beyond 0.00 ms" in slow.reasons[0]
    assert verdict_of(make_pairs(), threshold_session(150), max_p99_ms=60_000).passed is True


def test_few_images_are_timed_again_until_p99_means_something(make_pairs, threshold_session) -> None:
    engine = threshold_session(150)
    report, samples_ms = measure_latency(engine, make_pairs(3))
    assert report.inferences == len(samples_ms) == 200
    assert engine._sessions[0].calls == 205  # the five of the warm-up do not count
    assert report.end_to_end.max_ms == pytest.approx(max(samples_ms), abs=1e-3)


def test_timing_ends_with_its_budget_and_then_cannot_decide(make_pairs, threshold_session) -> None:
    report, samples_ms = measure_latency(threshold_session(150), make_pairs(3), budget_s=0)
    assert len(samples_ms) == 1
    (finding,) = judge_latency(report, VerdictLimits(max_dice_drop=0, max_p99_ms=60_000))
    assert finding.outcome == "undecided"
    (finding,) = judge_latency(report, VerdictLimits(max_dice_drop=0, max_p99_ms=1e-6))
    assert finding.outcome is False


def test_a_fall_behind_the_baseline_fails(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8, dim_rows=2)
    before = verdict_of(pairs, threshold_session(75))
    # Held against an equally poor reference there is no drop, only the baseline remembers.
    poor = threshold_session(150)
    assert verdict_of(pairs, threshold_session(150), reference=poor).passed is True
    verdict = verdict_of(pairs, threshold_session(150), reference=poor, baseline=before)
    assert verdict.passed is False
    assert "baseline's 1.0000: a drop of 0.0476 is beyond 0.0050" in verdict.reasons[0]


def test_a_baseline_of_other_data_is_refused(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8)
    before = verdict_of(pairs[:7], threshold_session(75))
    with pytest.raises(MismatchError, match="other images"):
        verdict_of(pairs, threshold_session(75), baseline=before)


@pytest.mark.parametrize(("outcome", "words"), [(False, "failed itself"), ("undecided", "is undecided itself")])
def test_a_baseline_that_did_not_pass_is_refused(make_pairs, threshold_session, verdict_of, outcome, words) -> None:
    pairs = make_pairs(8, dim_rows=2)
    poor = verdict_of(pairs, threshold_session(150))
    assert poor.passed is False
    with pytest.raises(MismatchError, match=words) as caught:
        verdict_of(pairs, threshold_session(75), baseline=poor.model_copy(update={"passed": outcome}))
    assert caught.value.found == poor.reasons[0]


def _with_p99(verdict: Verdict, p99_ms: float, **changes: str) -> Verdict:
    end_to_end = verdict.latency.end_to_end.model_copy(update={"p99_ms": p99_ms})
    latency = verdict.latency.model_copy(update={"end_to_end": end_to_end, **changes})
    return verdict.model_copy(update={"latency": latency})


def test_p99_against_the_baseline(make_pairs, threshold_session, verdict_of, monkeypatch) -> None:
    pairs = make_pairs(8)
    before = verdict_of(pairs, threshold_session(75))
    now = _with_p99(before, 24.1).latency
    monkeypatch.setattr(
        "edgeseg.proof.verdict.verification.measure_latency", lambda *_, **__: (now, before.latency_samples_ms)
    )
    slower = verdict_of(pairs, threshold_session(75), baseline=_with_p99(before, 20.0))
    assert slower.passed is False
    assert "p99 24.10 ms against the baseline's 20.00 ms is beyond 24.00 ms" in slower.reasons[0]
    assert verdict_of(pairs, threshold_session(75), baseline=_with_p99(before, 20.2)).passed is True
    other = verdict_of(pairs, threshold_session(75), baseline=_with_p99(before, 1.0, machine="another box"))
    assert other.passed is True
    assert any("not compared" in reason and "another box" in reason for reason in other.reasons)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 0.0005), ("fp16", 0.001), ("int8", 0.005)])
def test_default_limits(precision, limit: float) -> None:
    assert limits_for(precision, None, None) == VerdictLimits(max_dice_drop=limit, max_p99_ms=None)
    assert limits_for(precision, 0.0, 30.0) == VerdictLimits(max_dice_drop=0.0, max_p99_ms=30.0)


@pytest.mark.parametrize("limits", [(float("nan"), None), (None, float("inf"))])
def test_a_limit_that_is_no_number_is_refused(limits) -> None:
    with pytest.raises(UsageError):
        limits_for("int8", *limits)


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ([True, True], True),
        ([True, "undecided"], "undecided"),
        ([True, "undecided", False], False),
        ([False], False),
    ],
)
def test_the_worst_finding_decides(outcomes, together) -> None:
    assert conclude([Finding(outcome, "") for outcome in outcomes]) == together


def test_failures_are_named_first_and_json_survives(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(3, dim_rows=10), threshold_session(150), max_p99_ms=60_000)
    assert ["Dice" in verdict.reasons[0], "needed" in verdict.reasons[1], "p99" in verdict.reasons[2]] == [True] * 3
    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize(("precision", "noted"), [("fp16", True), ("fp32", False), ("int8", False)])
def test_what_fp16_on_a_cpu_does_not_show_is_said(make_pairs, threshold_session, verdict_of, precision, noted) -> None:
    verdict = verdict_of(make_pairs(), threshold_session(150, precision))
    assert verdict.passed is True
    assert any("a CPU computes FP16 engines in float32 between casts" in reason for reason in verdict.reasons) is noted
