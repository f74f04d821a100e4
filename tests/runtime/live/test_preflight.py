"""Tests of what is refused before the first frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import UsageError
from edgeseg.runtime.engine.failures import EngineDownError
from edgeseg.runtime.live.preflight import check_outputs, warm_up
from edgeseg.runtime.live.settings import LiveSettings, OutputSettings


def test_an_engine_that_answers_no_frame_does_not_pass(
    open_workers: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgeseg.runtime.live.preflight.np.zeros", lambda shape, kind: script.frame_of(0, script.REFUSE)
    )
    monkeypatch.setattr("edgeseg.runtime.live.preflight.draw_live", lambda *_: None)
    with pytest.raises(EngineDownError, match="none"):
        warm_up(open_workers(spares=0), lambda line: None)


def test_a_pipeline_longer_than_any_name_is_no_defect(tmp_path: Path) -> None:
    check_outputs(LiveSettings(tmp_path / "a.engine", "gst:" + "x" * 5000))


@pytest.mark.parametrize(
    "outputs",
    [
        OutputSettings(overlay=Path("pictures")),
        OutputSettings(raw=Path("a.avi")),
        OutputSettings(events=Path("events")),
    ],
)
def test_what_live_video_is_not_kept_as_is_refused(outputs: OutputSettings) -> None:
    with pytest.raises(UsageError, match="kind of file"):
        check_outputs(LiveSettings(Path("a.engine"), "synthetic:", outputs=outputs))
