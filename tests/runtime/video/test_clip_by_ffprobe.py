"""The clip that `run` writes, looked at by ffprobe: an oracle that shares no code with PyAV's wheel."""

import json
import subprocess
from pathlib import Path

from edgeseg.cli import run


def test_ffprobe_sees_every_frame_at_its_time(
    tiny_engine: Path, numbered_clip: Path, tmp_path: Path, system_program
) -> None:
    program = system_program("ffprobe", package="ffmpeg")
    out = tmp_path / "out.mp4"
    assert run(["run", str(tiny_engine), str(numbered_clip), "--out", str(out)]) == 0

    def times(path: Path) -> list[float]:
        query = ["-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "json", str(path)]
        result = subprocess.run([program, "-v", "error", *query], check=True, capture_output=True, text=True)
        assert result.stderr == ""
        return [float(frame["pts_time"]) for frame in json.loads(result.stdout)["frames"]]

    assert times(out) == times(numbered_clip)
    assert len(times(out)) == 40
