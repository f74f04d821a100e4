from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from edgeseg.errors import BadInputError
from edgeseg.images import read_mask
from edgeseg.synthetic.synthetic_clip import render_clip, write_clip


def test_the_file_holds_the_rendered_frames_with_exact_times(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", 3, 10, 64, 96, fps=10, masks_dir=tmp_path / "masks")
    rendered = list(render_clip(3, 10, 64, 96, fps=10))
    with av.open(str(tmp_path / "c.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 10)
        decoded = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    assert [time for time, _ in decoded] == pytest.approx([index / 10 for index in range(10)])
    for (_, picture), (frame, _) in zip(decoded, rendered, strict=True):
        error = picture.astype(float) - frame
        assert 10 * np.log10(255**2 / (error**2).mean()) > 24
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == [f"frame_{index:06d}.png" for index in range(10)]
    for name, (_, mask) in zip(names, rendered, strict=True):
        np.testing.assert_array_equal(read_mask(tmp_path / "masks" / name), mask)


def test_the_index_comes_first(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", 0, 2, 32, 32)
    data = (tmp_path / "c.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_camera_moves_smoothly_and_polyps_come_and_go() -> None:
    pictures = list(render_clip(1, 60, 48, 64, fps=5))
    shares = np.array([(mask > 0).mean() for _, mask in pictures])
    assert shares.max() > 0.02 and (shares == 0).any()
    quick = [frame.astype(float).mean(axis=2) for frame, _ in render_clip(1, 6, 48, 64, fps=50)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(quick)]
    assert min(steps) > 0.2 and max(steps) < 8


def test_the_same_seed_gives_the_same_frames() -> None:
    first, again = (b"".join(f.tobytes() + m.tobytes() for f, m in render_clip(9, 3, 32, 48)) for _ in range(2))
    other = b"".join(f.tobytes() + m.tobytes() for f, m in render_clip(10, 3, 32, 48))
    assert first == again != other


@pytest.mark.parametrize(
    "change", [{"height": 33}, {"width": 47}, {"height": 30}, {"frames": 0}, {"fps": 0}], ids=lambda change: str(change)
)
def test_impossible_clips_are_refused_before_anything_is_written(change: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        write_clip(tmp_path / "c.mp4", **{"seed": 0, "frames": 2, "height": 32, "width": 48, **change})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_when_rendering_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no light")

    monkeypatch.setattr("edgeseg.synthetic.scene.Scene.render", broken)
    with pytest.raises(RuntimeError, match="no light"):
        write_clip(tmp_path / "c.mp4", 0, 2, 32, 48, masks_dir=tmp_path / "masks")
    assert list(tmp_path.iterdir()) == []
