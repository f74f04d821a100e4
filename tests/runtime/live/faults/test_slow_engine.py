"""An engine of a fifth of the camera's rate: the picture does not wait, masks are recent or gone, memory stays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.runtime.live.live_values import Presented
from tests.runtime.live.faults.conftest import Running, descriptors, resident_kib

Play = Callable[..., Running]
PERIODS = 2


class Table:
    """A sink that notes each frame in a row of memory that is there from the start."""

    name = "table"

    def __init__(self, rows: int) -> None:
        self._rows = np.full((rows, 4), np.nan)
        self.count = 0

    @property
    def rows(self) -> NDArray[np.float64]:
        """Number, age of the picture in ms, number of the mask, age of the mask in ms; NaN without a mask."""
        return self._rows[: self.count]

    def offer(self, presented: Presented) -> None:
        mask_index = np.nan if presented.mask is None else presented.mask.index
        mask_age_ms = np.nan if presented.mask_age_ms is None else presented.mask_age_ms
        self._rows[self.count] = presented.frame.index, presented.picture_age_ms, mask_index, mask_age_ms
        self.count += 1

    def counts(self) -> None:
        return None

    def close(self, deadline_s: float) -> None:
        pass


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
    table = Table(2 * frames)
    factory = functools.partial(engines.open_slow, tiny_onnx, infer_ms / 1e3)
    run = play(f"synthetic:320x240@{rate}", spares=0, factory=factory, noting=table)
    warm = min(frames // 4, 1500)
    run.until(lambda: table.count >= warm)
    before_kib, before_files = resident_kib(), descriptors()
    run.until(lambda: table.count >= frames, patience_s=3 * frames / rate)
    after_kib, after_files = resident_kib(), descriptors()
    status = run.end()
    numbers, picture_ages_ms, mask_numbers, mask_ages_ms = table.rows[warm:].T
    assert len(numbers) + status.skipped >= frames - warm
    assert (np.diff(numbers) == 1).all() or status.skipped
    masks = len(np.unique(mask_numbers[~np.isnan(mask_numbers)]))
    print(
        f"{len(numbers)} frames, {status.skipped} not shown, {masks} masks shown; "
        f"resident memory {before_kib} to {after_kib} KiB ({100 * (after_kib / before_kib - 1):+.2f} %), "
        f"files {before_files} to {after_files}"
    )
    assert after_kib <= (1 + growth) * before_kib
    assert after_files == before_files
    assert np.percentile(picture_ages_ms, 99) <= PERIODS * period_ms
    assert masks >= len(numbers) / 5 / 3, "masks are shown"
    drawing_ms = status.compose_ms["p99"] or 0.0  # the limit holds when a mask is chosen
    limit_ms = (status.infer_ms["p99"] or 0.0) + PERIODS * period_ms
    assert np.nanpercentile(mask_ages_ms, 99) <= limit_ms + drawing_ms
    assert any(change.state == "degraded" and "the engine is slow" in change.reason for change in run.changes)
