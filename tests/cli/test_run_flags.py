from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg import cli
from edgeseg.runtime.live.settings import LiveSettings


@pytest.mark.parametrize(
    "flag",
    [
        ["--no-record-gated"],
        ["--no-gate"],
        ["--seconds", "3"],
        ["--token-file", "token"],
        ["--tls-key", "key"],
        ["--log-json"],
        ["--spares", "2"],
        ["--threads", "1"],
        ["--reference-every", "9"],
        ["--hardware", "cuda"],
    ],
)
def test_a_flag_of_live_video_is_no_flag_of_run(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "a.engine", "clip.mp4", *flag]) == 2
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["rtsp://host/path", "camera:0", "synthetic:64x48@10", "http://host/a.mjpg"])
def test_run_sends_a_live_source_to_live(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "a.engine", source]) == 2
    assert f"edgeseg live a.engine {source}" in capsys.readouterr().err


def test_live_keeps_no_file_of_latencies(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["live", "a.engine", "synthetic:", "--latency", "l.json"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_a_delay_that_delays_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["live", "a.engine", "synthetic:", "--delay-ms", "80"]) == 2
    assert "--delay-ms works with --sync only" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--delay-ms", "--max-mask-age-ms"])
def test_a_delay_and_a_masks_age_are_bounded(flag: str) -> None:
    assert cli.run(["live", "a.engine", "synthetic:", flag, "5001"]) == 2
    assert cli.run(["live", "a.engine", "synthetic:", flag, "inf"]) == 2


def test_images_have_no_fields(tiny_engine: Path, small_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", str(tiny_engine), str(small_images), "--deinterlace", "on"]) == 2
    assert "--deinterlace works with video only" in capsys.readouterr().err


def test_what_no_flag_says_is_the_default_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[LiveSettings] = []
    monkeypatch.setattr("edgeseg.cli.run_live.run_live", lambda streams, as_json, log_json: given.extend(streams))
    assert cli.run(["live", "a.engine", "synthetic:"]) == 0
    assert given == [LiveSettings(Path("a.engine"), "synthetic:")]


def test_an_empty_address_of_the_page_is_refused(tiny_engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["live", str(tiny_engine), "synthetic:64x64@10", "--seconds", "1", "--web", ""]) == 2
    assert "names no address" in capsys.readouterr().err
