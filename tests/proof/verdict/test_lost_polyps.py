"""Polyps that hide in a mean.

With 20 bright rows and d dim ones a network that misses the dim ones has IoU 20 / (20 + d): the polyp is found up to
d = 20 and lost from d = 21 on. The reference finds all of it.
"""

import json

import pytest
import scipy.stats

from edgeseg.artifacts import Verdict, VerdictLimits, VerdictRow
from edgeseg.errors import UsageError
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.lost_polyps import found_polyps
from edgeseg.proof.verdict.rules import MOST_NAMES, judge_lost_polyps, limits_for
from edgeseg.proof.verdict.verdict_page import write_report


def row(name: str, iou: float, reference_iou: float, foreground: float = 0.2) -> VerdictRow:
    scores = {"dice": 0, "reference_dice": 0, "drop": 0, "agreement": 0}
    return VerdictRow(name=name, iou=iou, reference_iou=reference_iou, foreground=foreground, **scores)


def test_found_lost_and_gained_by_hand() -> None:
    polyps = found_polyps(
        [
            row("both", 0.9, 0.9),
            row("at the bound", 0.5, 0.5),
            row("just lost", 0.499, 0.501),
            row("quite lost", 0.0, 0.8),
            row("gained", 0.7, 0.2),
            row("neither", 0.3, 0.4),
            row("no polyp, a false alarm", 0.0, 1.0, foreground=0),
        ]
    )
    assert (polyps.images_with_polyp, polyps.reference_found, polyps.engine_found) == (6, 4, 3)
    assert (polyps.lost.names, polyps.lost.count, polyps.lost.of) == (("quite lost", "just lost"), 2, 4)
    assert (polyps.gained.names, polyps.gained.count, polyps.gained.of) == (("gained",), 1, 2)
    exact = scipy.stats.binomtest(2, 4).proportion_ci(0.95, method="exact")
    assert polyps.lost.interval is not None
    assert (polyps.lost.interval.low, polyps.lost.interval.high) == pytest.approx((exact.low, exact.high))


def test_a_reference_that_finds_all_leaves_nothing_to_gain() -> None:
    polyps = found_polyps([row("both", 0.9, 0.9)])
    assert (polyps.gained.of, polyps.gained.interval) == (0, None)


def test_a_lost_polyp_hides_in_the_mean_and_is_warned_of(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(40, dim_rows=[21] + [0] * 39)
    verdict = verdict_of(pairs, threshold_session(150, "int8"), max_dice_drop=0.01)
    assert verdict.passed is True and verdict.mean_dice_drop < 0.01
    assert verdict.reasons[1] == (
        "warning: the engine loses the polyp of 1 of 40 images on which the reference finds it (2.5 %, 95 % interval "
        "0.1 to 13.2 %): image_00 (IoU 1.00 to 0.49); no --max-lost-polyps was set"
    )
    assert verdict.polyps is not None and verdict.polyps.lost.names == ("image_00",)
    assert verdict.rows[0].reference_iou == 1 and verdict.rows[0].iou == pytest.approx(20 / 41)


@pytest.mark.parametrize(("limit", "passed"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_limit_on_lost_polyps(make_pairs, threshold_session, verdict_of, limit: int, passed: bool) -> None:
    pairs = make_pairs(8, dim_rows=[21, 25, 20] + [0] * 5)
    verdict = verdict_of(pairs, threshold_session(150), max_dice_drop=0.5, max_lost_polyps=limit)
    assert verdict.passed is passed
    (reason,) = [reason for reason in verdict.reasons if "loses" in reason]
    assert "2 of 8 images" in reason and "image_01 (IoU 1.00 to 0.44), image_00 (IoU 1.00 to 0.49)" in reason
    assert reason.endswith(f"this {'is within' if passed else 'is beyond'} --max-lost-polyps {limit}")
    assert (verdict.reasons[0] == reason) is not passed


def test_none_lost_is_told_where_a_limit_was_set(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(make_pairs(), threshold_session(150), max_lost_polyps=0)
    assert verdict.passed is True
    assert "0 of 8 images" in verdict.reasons[1] and "interval 0.0 to 36.9 %" in verdict.reasons[1]


def test_where_the_reference_finds_nothing_a_limit_decides_nothing(make_pairs, threshold_session, verdict_of) -> None:
    verdict = verdict_of(
        make_pairs(8, dim_rows=25), threshold_session(150), threshold_session(150), max_lost_polyps=0, max_dice_drop=1
    )
    assert verdict.passed == "undecided"
    assert "reference finds no polyp" in verdict.reasons[0]


def test_an_image_of_nan_is_a_lost_polyp(make_pairs, threshold_session, verdict_of) -> None:
    make_pairs(8)
    pairs = make_pairs(1, background=10, prefix="dark")
    verdict = verdict_of(pairs, threshold_session(150, nan_below=20), max_dice_drop=2)
    assert verdict.polyps is not None and verdict.polyps.lost.names == ("dark_00",)


def test_a_sentence_names_some_and_counts_the_rest() -> None:
    rows = tuple(row(f"image_{index:02d}", 0.1, 0.9) for index in range(MOST_NAMES + 3))
    (finding,) = judge_lost_polyps(Comparison(rows), VerdictLimits(max_dice_drop=0, max_lost_polyps=0))
    assert finding.outcome is False
    assert f"image_{MOST_NAMES - 1:02d} (" in finding.reason and f"image_{MOST_NAMES:02d}" not in finding.reason
    assert ", 3 more; " in finding.reason


def test_a_limit_below_zero_is_refused() -> None:
    assert limits_for("int8", None, None, 0).max_lost_polyps == 0
    assert limits_for("int8", None, None).max_lost_polyps is None
    with pytest.raises(UsageError):
        limits_for("int8", None, None, -1)


def test_a_verdict_from_before_they_were_counted_is_read(make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8)
    now = verdict_of(pairs, threshold_session(150))
    document = now.to_dict()
    del document["polyps"], document["reference_mean_iou"], document["limits"]["max_lost_polyps"]
    for image in document["rows"]:
        del image["reference_iou"]
    document["latency"]["end_to_end"]["p99_ms"] = 1e6  # a busy machine is no part of the question
    before = Verdict.from_json(json.dumps(document))
    assert before.polyps is None and before.rows[0].reference_iou is None
    assert verdict_of(pairs, threshold_session(150), baseline=before).passed is True


def test_the_page_names_lost_and_gained(tmp_path, make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(8, dim_rows=[21] + [0] * 7)
    engine, reference = threshold_session(150), threshold_session(75)
    write_report(tmp_path / "lost", verdict_of(pairs, engine, reference), engine, reference, pairs)
    write_report(tmp_path / "gained", verdict_of(pairs, reference, engine), reference, engine, pairs)
    lost, gained = (" ".join((tmp_path / kind / "verdict.html").read_text().split()) for kind in ("lost", "gained"))
    assert "Polyps lost<b>1 of 8</b>" in lost and "no limit set" in lost
    assert "1 of 8 (12.5 %, 95 % interval 0.3 to 52.7 %): image_00" in lost
    assert lost.count('<strong class="lost">polyp lost</strong>') == 1
    assert lost.count('<strong class="lost">lost</strong>') == 1
    assert "Polyps lost<b>0 of 7</b>" in gained and "1 of 1 (100.0 %" in gained
    assert gained.count('class="lost"') == 0
