from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg import cli


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
def test_a_flag_of_live_video_is_not_passed_over_on_a_file(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "a.engine", "clip.mp4", *flag]) == 2
    assert f"{flag[0]} is of live video" in capsys.readouterr().err


def test_a_delay_that_delays_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "a.engine", "synthetic:", "--delay-ms", "80"]) == 2
    assert "--delay-ms is of --sync" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--delay-ms", "--max-mask-age-ms"])
def test_a_delay_and_a_masks_age_are_bounded(flag: str) -> None:
    assert cli.run(["run", "a.engine", "synthetic:", flag, "5001"]) == 2
    assert cli.run(["run", "a.engine", "synthetic:", flag, "inf"]) == 2


def test_images_have_no_fields(tiny_engine: Path, small_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", str(tiny_engine), str(small_images), "--deinterlace", "on"]) == 2
    assert "--deinterlace works with video only" in capsys.readouterr().err
