"""An engine of a fifth of the camera's rate: the picture does not wait, masks are recent or gone, memory stays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live.faults.conftest import Running, descriptors, resident_kib

Play = Callable[..., Running]
PERIODS = 2


@pytest.mark.parametrize(
    ("rate", "frames", "growth"),
    [
        pytest.param(5, 60, 0.02, id="12-s"),
        pytest.param(25, 15_000, 0.01, id="10-min", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_an_engine_of_a_fifth_of_the_rate(
    play: Play, engines: Any, tiny_onnx: Path, rate: int, frames: int, growth: float
) -> None:
    period_ms = 1e3 / rate
    infer_ms = 5 * period_ms  # 5 FPS beside a camera of 25; a fifth of that in the short form
    run = play(
        f"synthetic:320x240@{rate}",
        spares=0,
        factory=functools.partial(engines.open_slow, tiny_onnx, infer_ms / 1e3),
    )
    warm = min(frames // 4, 1500)
    run.until(lambda: len(run.shown) >= warm)
    before_kib, before_files = resident_kib(), descriptors()
    run.until(lambda: len(run.shown) >= frames, patience_s=3 * frames / rate)
    after_kib, after_files = resident_kib(), descriptors()
    status = run.end()
    shown = run.shown[warm:]
    assert [frame.index for frame in run.shown] == list(range(len(run.shown)))
    picture_p99_ms = float(np.percentile([frame.picture_age_ms for frame in shown], 99))
    mask_ages_ms = [frame.mask_age_ms for frame in shown if frame.mask_age_ms is not None]
    masks = {frame.mask_index for frame in shown} - {None}
    print(
        f"{len(shown)} frames, {len(masks)} masks shown on {len(mask_ages_ms)} of them; resident memory "
        f"{before_kib} to {after_kib} KiB ({100 * (after_kib / before_kib - 1):+.2f} %), "
        f"files {before_files} to {after_files}"
    )
    assert picture_p99_ms <= PERIODS * period_ms
    assert len(masks) >= len(shown) / 5 / 3, "masks are shown"
    drawing_ms = status.compose_ms["p99"] or 0.0  # the limit holds when a mask is chosen
    limit_ms = (status.infer_ms["p99"] or 0.0) + PERIODS * period_ms
    assert float(np.percentile(mask_ages_ms, 99)) <= limit_ms + drawing_ms
    assert after_kib <= (1 + growth) * before_kib
    assert after_files == before_files
    assert any(frame.state == "degraded" and "the engine is slow" in frame.reason for frame in run.shown)
