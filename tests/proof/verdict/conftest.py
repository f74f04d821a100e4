"""Networks that are thresholds on the green channel, and small data sets that they can be right or wrong about."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import Precision, Verdict, VerdictLimits
from edgeseg.dataset import Pair, load_pairs
from edgeseg.images import write_png
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

SIZE_PX = 48


class ThresholdSession:
    """Polyp is what is at least `threshold` green; pixels darker than `nan_below` come out as NaN."""

    def __init__(
        self,
        threshold: int,
        precision: Precision = "fp32",
        classes: tuple[str, ...] = ("polyp",),
        nan_below: int = 0,
        size_px: int = SIZE_PX,
    ) -> None:
        self.threshold, self.nan_below = threshold, nan_below
        self.calls = 0
        model = ModelSpec(architecture="threshold", classes=classes, height=size_px, width=size_px)
        sha256 = f"{threshold:064d}"
        self.info = SessionInfo(model, PreprocessSpec(), "onnxruntime", precision, sha256)

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        self.calls += 1
        green = frames[..., 1][:, np.newaxis]
        probability = np.where(green >= self.threshold, np.float32(0.9), np.float32(0.1))
        return np.where(green < self.nan_below, np.float32(np.nan), probability).astype(np.float32)

    def close(self) -> None:
        pass


def write_image(root: Path, name: str, polyp_rows: int, dim_rows: int = 0, background: int = 50) -> None:
    """A frame whose first rows are bright polyp (200) and whose next rows are dim polyp (100)."""
    frame = np.full((SIZE_PX, SIZE_PX, 3), background, np.uint8)
    frame[:polyp_rows] = 200
    frame[polyp_rows : polyp_rows + dim_rows] = 100
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[: polyp_rows + dim_rows] = 255
    write_png(root / "test" / "images" / f"{name}.png", frame)
    write_png(root / "test" / "masks" / f"{name}.png", mask)


MakePairs = Callable[..., list[Pair]]


@pytest.fixture
def make_pairs(tmp_path: Path) -> MakePairs:
    """`count` images of which image i has 20 bright rows and `dim_rows` (a number, or one for each) dim ones.

    A second call adds images under another prefix and gives all of them.
    """

    def make(
        count: int = 8, dim_rows: int | list[int] = 0, polyp_rows: int = 20, background: int = 50, prefix: str = "image"
    ) -> list[Pair]:
        for index in range(count):
            dim = dim_rows if isinstance(dim_rows, int) else dim_rows[index]
            write_image(tmp_path / "data", f"{prefix}_{index:02d}", polyp_rows, dim, background)
        return load_pairs(tmp_path / "data", "test")

    return make


@pytest.fixture
def threshold_session() -> Callable[..., Engine]:
    return lambda *arguments, **options: engine_of(ThresholdSession(*arguments, **options))


@pytest.fixture
def verdict_of() -> Callable[..., Verdict]:
    """Verify with limits written out; the reference is right about dim polyp unless another is given."""

    def judge(
        pairs: list[Pair],
        engine: Engine,
        reference: Engine | None = None,
        max_dice_drop: float = 0.005,
        max_p99_ms: float | None = None,
        baseline: Verdict | None = None,
        max_lost_polyps: int | None = None,
    ) -> Verdict:
        limits = VerdictLimits(max_dice_drop=max_dice_drop, max_p99_ms=max_p99_ms, max_lost_polyps=max_lost_polyps)
        return verify(engine, reference or engine_of(ThresholdSession(75)), pairs, limits, baseline=baseline)

    return judge
