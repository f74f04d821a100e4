"""Tests of what a drift watch is refused for, where its statistics come from, and one with a real engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.drawing import draw_live
from edgeseg.runtime.live.drift.drift_opening import check_reference, find_statistics, open_drift_monitor
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.scene.sampling import Sample
from edgeseg.runtime.live.scene.statistics import Spread, TrainingStatistics
from edgeseg.runtime.live.settings import EngineSettings, LiveSettings, WatchSettings
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.opener.engine_from_file import open_engine, start_workers
from edgeseg.runtime.opener.use import Use, live_use
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec
from tests.runtime.live.conftest import RememberingSink

MODEL = ModelSpec(architecture="unet", height=224, width=224)
LIVE = SessionInfo(MODEL, PreprocessSpec(), "onnxruntime", "int8", "1" * 64)
REFERENCE = replace(LIVE, precision="fp32", sha256="2" * 64)
PACKAGE = Path(__file__).parents[3] / "models" / "kvasir-small"
TWO: dict[str, Any] = {"architecture": "u", "height": 224, "width": 224, "classes": ("a", "b"), "output": "softmax"}
CROP = Crop(top=0, left=0, height=100, width=100)


def test_another_network_may_be_the_reference_where_it_sees_and_says_the_same() -> None:
    check_reference(LIVE, replace(REFERENCE, model=MODEL.model_copy(update={"architecture": "other"})))


@pytest.mark.parametrize(
    "other",
    [
        replace(REFERENCE, model=MODEL.model_copy(update={"classes": ("instrument",)})),
        replace(REFERENCE, model=MODEL.model_copy(update={"height": 256})),
        replace(
            REFERENCE, model=ModelSpec(architecture="u", height=224, width=224, classes=("a", "b"), output="softmax")
        ),
        replace(REFERENCE, preprocess=PreprocessSpec(crop=CROP)),
    ],
)
def test_a_reference_that_sees_or_says_something_else_is_refused(other: SessionInfo) -> None:
    with pytest.raises(MismatchError) as caught:
        check_reference(LIVE, other)
    assert caught.value.exit_code == 6
    assert caught.value.found != caught.value.expected


def test_an_engine_is_not_its_own_reference() -> None:
    with pytest.raises(UsageError, match="its own reference"):
        check_reference(LIVE, LIVE)


def _statistics(height: int = 224) -> TrainingStatistics:
    spread = Spread(mean=1, deviation=1)
    return TrainingStatistics(height=height, width=224, image_count=30, data_sha256="0" * 64, spreads={"hue": spread})


def _found(engine: Path, **watch: Any) -> tuple[TrainingStatistics | None, list[str]]:
    said: list[str] = []
    settings = LiveSettings(engine, "synthetic:", watch=WatchSettings(**watch))
    return find_statistics(settings, LIVE, said.append), said


def test_statistics_are_taken_from_where_they_are_named_then_from_beside_the_models(tmp_path: Path) -> None:
    package, engine = tmp_path / "package", tmp_path / "x.engine"
    package.mkdir()
    found, said = _found(engine, reference=package)
    assert found is None and "no statistics" in said[0], "older packages have none"
    _statistics().write(package / "statistics.json")
    found, said = _found(engine, reference=package)
    assert found == _statistics() and str(package / "statistics.json") in said[0]
    assert _found(package)[0] == _found(package / "model.onnx")[0] == _statistics()
    other = _statistics().model_copy(update={"image_count": 31})
    other.write(tmp_path / "named.json")
    assert _found(package, statistics=tmp_path / "named.json") == (other, [])


def test_statistics_of_another_size_are_refused_by_name_and_passed_over_otherwise(tmp_path: Path) -> None:
    _statistics(height=256).write(tmp_path / "statistics.json")
    assert _found(tmp_path / "x.engine")[0] is None
    with pytest.raises(MismatchError, match="another size"):
        _found(tmp_path / "x.engine", statistics=tmp_path / "statistics.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(BadInputError):
        _found(tmp_path / "x.engine", statistics=tmp_path / "bad.json")


def test_a_fall_back_needs_a_reference_and_nothing_is_watched_unasked() -> None:
    def opened(**watch: Any) -> object:
        return open_drift_monitor(LiveSettings(Path("x"), "y", watch=WatchSettings(**watch)), LIVE, None, said.append)

    said: list[str] = []
    with pytest.raises(UsageError, match="fall back to"):
        opened(fall_back=True)
    assert opened() is None and said == []


@pytest.fixture(scope="module")
def int8_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engines") / "small.int8.engine"
    build_engine(PACKAGE, BuildOptions("int8", "onnxruntime", out=path))
    return path


def test_an_int8_engine_against_its_float32_on_synthetic_video(int8_engine: Path) -> None:
    settings = LiveSettings(
        int8_engine, "synthetic:480x360@25", watch=WatchSettings(PACKAGE, every=3), processes=EngineSettings(threads=1)
    )
    engine = start_workers(int8_engine, live_use(spares=0, threads=1))
    engine.wait_ready(120.0)
    monitor = open_drift_monitor(settings, engine.info, None, lambda text: None)
    assert monitor is not None
    judged: list[Sample] = []
    _remember(monitor, judged)
    source = open_live_source(settings.source, SourceOptions())
    shared = SharedEngine(engine)
    stream = LiveStream(source, shared, [RememberingSink()], draw_live, LiveOptions(seconds=60.0), drift=monitor)
    (status,) = LiveBox(shared, [stream], lambda: stream.stop() if monitor.checks >= 16 else None).run()
    assert status.drift is not None and status.drift["has_statistics"]
    assert status.drift["checks"] >= 16 and status.drift["reference_lost"] == 0
    assert set(status.drift["distances"]) == {"brightness", "contrast", "saturation", "hue", "sharpness"}
    assert status.drift["dice"] == pytest.approx(_pooled_dice(int8_engine, judged), abs=1e-3)
    assert "dice" not in status.drift["alarms"]


def _remember(monitor: Any, judged: list[Sample]) -> None:
    judge: Callable[..., None] = monitor._judge

    def remembering(check: Any, reference: Any) -> None:
        judged.append(check.sample)
        judge(check, reference)

    monitor._judge = remembering


def _pooled_dice(engine: Path, samples: list[Sample]) -> float:
    """Compute the Dice with engines of this process, from the pictures alone."""
    shared = marked = 0
    live, reference = open_engine(engine, Use(1)), open_engine(PACKAGE, Use(1))
    for sample in samples:
        first, second = (session.infer(sample.frame[np.newaxis])[0, 0] >= 0.5 for session in (live, reference))
        shared, marked = shared + int((first & second).sum()), marked + int(first.sum() + second.sum())
    assert marked > 0, "the synthetic picture has something to mark"
    return 2 * shared / marked
