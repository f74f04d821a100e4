from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.live.scene.figures import FrameFigures, Window, measure_frame
from edgeseg.runtime.live.scene.gate import FrameGate, GateSettings, Latch
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.watch import LiveGate, SceneView, SceneWatch
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

GOOD = FrameFigures(
    brightness=110, bright_share=0.02, contrast=45, red_share=0.95, lit_share=0.9, sharpness=6.0, change=8.0
)
RATE = 25


def tissue(seed: int, level: float = 120, colour: tuple[float, ...] = (0.6, 0.7, 1.2)) -> np.ndarray:
    """Fine texture over folds: BGR [480,640,3]."""
    rng = np.random.default_rng(seed)
    folds = cv2.resize(rng.normal(0, 0.25, (6, 8)), (640, 480), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 0.18, (160, 213)), (640, 480), interpolation=cv2.INTER_CUBIC)
    image = level * (1 + folds + fine)[..., None] * np.array(colour)
    return image.clip(0, 255).astype(np.uint8)


def watched(frames: list[np.ndarray], watch: SceneWatch | None = None) -> list[SceneView]:
    watch = watch or SceneWatch()
    return [watch.update(reduce_picture(Picture.of_bgr(f).planar()), i / RATE) for i, f in enumerate(frames)]


def judged(figures: list[FrameFigures], gate: FrameGate | None = None) -> list[str | None]:
    gate = gate or FrameGate()
    return [gate.judge(one, index / RATE).reason for index, one in enumerate(figures)]


def whole(frame: np.ndarray, before: np.ndarray | None = None) -> FrameFigures:
    small = reduce_picture(Picture.of_bgr(frame))
    window = Window.of(np.full(small.luma.shape, 255, np.uint8), small.detail.shape)
    return measure_frame(small, window, None if before is None else reduce_picture(Picture.of_bgr(before)))


MOVING = [tissue(seed) for seed in range(30)]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("black", lambda frame: frame // 40),
        ("out of the body", lambda frame: np.ascontiguousarray(frame[..., ::-1])),
        ("washed out", lambda frame: np.maximum(frame, 250)),
        ("blurred", lambda frame: cv2.GaussianBlur(frame, (0, 0), 12)),
    ],
)
def test_each_defect_is_named_and_taken_back(reason: str, change: Any) -> None:
    frames = [*MOVING, *(change(frame) for frame in MOVING[:15]), *MOVING]
    reasons = [view.gate.reason for view in watched(frames)]
    assert set(reasons[:30]) == {None}
    assert set(reasons[35:45]) == {reason}
    assert set(reasons[65:]) == {None}


def test_mist_is_washed_out_though_nothing_is_burnt_out() -> None:
    mist = [cv2.addWeighted(frame, 0.1, np.full_like(frame, 200), 0.9, 0) for frame in MOVING]
    assert watched(mist)[-1].gate.reason == "washed out"


def test_a_picture_that_repeats_is_frozen_and_says_for_how_long() -> None:
    views = watched([*MOVING, *[MOVING[-1]] * 30, *MOVING])
    reasons = [view.gate.reason for view in views]
    started = reasons.index("frozen")
    assert (started - 29) / RATE == pytest.approx(GateSettings().frozen_after_s, abs=1.5 / RATE)
    assert set(reasons[started:60]) == {"frozen"}
    assert views[59].gate.repeated_s == pytest.approx(30 / RATE)
    assert reasons[60] is None


def test_sensor_noise_on_a_scope_at_rest_is_not_frozen() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(MOVING[0] + rng.normal(0, 3, MOVING[0].shape), 0, 255).astype(np.uint8) for _ in range(40)]
    assert {view.gate.reason for view in watched(noisy)} == {None}


def test_a_clock_in_the_border_hides_no_frozen_picture() -> None:
    circle = cv2.circle(np.zeros((480, 640), np.uint8), (320, 240), 220, 255, -1)[..., None] > 0
    inside = [frame * circle for frame in MOVING]
    ticking = []
    for index in range(30):
        frame = inside[-1].copy()
        cv2.putText(frame, f"{index:02d}", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        ticking.append(frame)
    assert watched([*inside, *ticking])[-1].gate.reason == "frozen"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.floats(0.5, 8), st.floats(1.2, 3))
def test_more_blur_is_never_sharper(seed: int, sigma: float, factor: float) -> None:
    frame = tissue(seed)
    soft, softer = (cv2.GaussianBlur(frame, (0, 0), s) for s in (sigma, sigma * factor))
    assert whole(softer).sharpness <= whole(soft).sharpness <= whole(frame).sharpness


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.floats(10, 240), st.integers(120, 800), st.integers(160, 1300))
def test_figures_of_an_even_picture_are_known(seed: int, level: float, height: int, width: int) -> None:
    figures = whole(np.full((height, width, 3), int(level), np.uint8))
    assert figures.brightness == pytest.approx(int(level))
    assert figures.contrast == pytest.approx(0, abs=1e-4)  # float32 means
    assert figures.bright_share == float(int(level) >= 230)
    assert figures.red_share == 0 and math.isinf(figures.change)
    assert math.isnan(figures.sharpness) or figures.sharpness == 0


def test_planes_and_bgr_give_the_same_figures() -> None:
    small = [reduce_picture(p) for p in (Picture.of_bgr(MOVING[0]), Picture.of_bgr(MOVING[0]).planar())]
    window = Window.of(np.full(small[0].luma.shape, 255, np.uint8), small[0].detail.shape)
    a, b = (measure_frame(one, window) for one in small)
    assert b.brightness == pytest.approx(a.brightness, abs=1.5)
    assert b.red_share == pytest.approx(a.red_share, abs=0.03)
    assert b.sharpness == pytest.approx(a.sharpness, rel=0.1)


def test_one_bad_frame_gates_nothing() -> None:
    for bad in (replace(GOOD, brightness=2), replace(GOOD, red_share=0), replace(GOOD, bright_share=0.9)):
        assert set(judged([*[GOOD] * 30, bad, *[GOOD] * 5])) == {None}


@given(st.lists(st.sampled_from([0.46, 0.48, 0.5, 0.515]), min_size=1, max_size=60))
def test_between_the_limits_nothing_changes(shares: list[float]) -> None:
    gate = FrameGate()
    judged([GOOD] * 60, gate)
    between = [replace(GOOD, sharpness=6 * share) for share in shares]
    assert {gate.judge(one, 10.0 + i).reason for i, one in enumerate(between)} == {None}
    judged([replace(GOOD, sharpness=0.5)] * 3, gate)
    assert gate.judge(between[0], 99).reason == "blurred"


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_a_latch_turns_only_after_its_run(enter: int, leave: int, wishes: list[bool]) -> None:
    latch = Latch(enter, leave)
    states = [latch.update(wish, not wish) for wish in wishes]
    for index in range(len(states)):
        before = states[index - 1] if index else False
        needed = leave if before else enter
        if states[index] != before:
            assert set(wishes[index - needed + 1 : index + 1]) == {states[index]}
        if wishes[index] != states[index]:
            assert index + 1 < needed or len({*wishes[index - needed + 1 : index + 1]}) > 1 or states[index] != before


def test_privacy_goes_before_a_frozen_picture_and_black_before_both() -> None:
    still = replace(GOOD, change=0.0, red_share=0.0)
    assert judged([still] * 40)[-1] == "out of the body"
    assert judged([replace(still, brightness=1, lit_share=0)] * 40)[-1] == "black"


def test_a_long_red_out_stays_blurred_and_a_softer_scope_is_accepted_in_the_end() -> None:
    gate = FrameGate()
    reasons = judged([*[GOOD] * 500, *[replace(GOOD, sharpness=2.0)] * 8000], gate)
    assert set(reasons[510 : 510 + 1500]) == {"blurred"}
    assert reasons[-1] is None


def test_the_presenter_hears_of_a_picture_that_repeats_by_its_time_of_arrival() -> None:
    gate, picture = LiveGate(), Picture.of_bgr(MOVING[0])
    times_ns = [0, 300_000_000, 700_000_000]
    frames = [SourceFrame(i, at, at, i, Fraction(1, RATE), picture) for i, at in enumerate(times_ns)]
    assert [gate.reason(frame) for frame in frames] == [None, None, "frozen"]
    assert gate.view is not None and gate.view.gate.repeated_s == pytest.approx(0.7)


def clip_reasons(path: Path) -> list[str | None]:
    watch, reasons = SceneWatch(), []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            picture = Picture(frame.height, frame.width, i420=frame.to_ndarray(format="yuv420p"))
            reasons.append(watch.update(reduce_picture(picture), index / RATE).gate.reason)
    return reasons


def test_the_polyp_of_a_real_clip_is_not_gated(colon_clips: Path) -> None:
    reasons = clip_reasons(colon_clips / "colon_polyp_560x480_25fps.mp4")
    polyp_in_view = [*range(27, 46), *range(54, 96), *range(104, 174)]
    assert [index for index in polyp_in_view if reasons[index]] == []
    assert reasons[180] == "blurred"


def test_red_outs_of_a_real_clip_are_gated_and_nothing_is_taken_for_outside(colon_clips: Path) -> None:
    reasons = clip_reasons(colon_clips / "colon_normal_420x288_25fps.mp4")
    assert set(reasons) <= {None, "blurred"}
    assert set(reasons[460:495]) == {"blurred"}
    assert set(reasons[780:1100]) == {None}
