from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import UsageError
from edgeseg.files import UnwritableError
from edgeseg.runtime.file.outputs import Outputs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.mp4"
    path.write_bytes(b"video")
    return path


def test_good_outputs_pass_and_nothing_is_created(tmp_path: Path, source: Path) -> None:
    (tmp_path / "empty").mkdir()
    Outputs(tmp_path / "new" / "clip.mp4", tmp_path / "empty", tmp_path / "l.json").check([source])
    Outputs(source.with_name("clip.MP4")).check([source])
    Outputs().check([source])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "source.mp4"]


def test_an_input_is_never_overwritten(tmp_path: Path, source: Path) -> None:
    link, hard_link = tmp_path / "link.mp4", tmp_path / "hard.mp4"
    link.symlink_to(source)
    hard_link.hardlink_to(source)
    for path in (source, link, hard_link, tmp_path / "x" / ".." / "source.mp4"):
        with pytest.raises(UsageError, match="would overwrite"):
            Outputs(path).check([source])
    with pytest.raises(UsageError, match="--masks names what the run reads"):
        Outputs(masks=tmp_path).check([tmp_path])


@pytest.mark.parametrize(
    ("out", "masks", "latency"),
    [("a.mp4", None, "a.mp4"), ("m/a.mp4", "m", None), ("shown", "shown/masks", None), (None, "m", "m/l.json")],
)
def test_outputs_do_not_lie_in_one_another(
    tmp_path: Path, out: str | None, masks: str | None, latency: str | None
) -> None:
    paths = [None if name is None else tmp_path / name for name in (out, masks, latency)]
    with pytest.raises(UsageError, match="lies inside"):
        Outputs(*paths).check([])


def test_unknown_kinds_and_taken_places(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UsageError, match="no kind of output"):
        Outputs(tmp_path / "clip.webm").check([])
    with pytest.raises(UnwritableError, match="not an empty folder"):
        Outputs(masks=tmp_path).check([])
    with pytest.raises(UnwritableError, match="is a folder"):
        Outputs(latency=tmp_path).check([])
    with pytest.raises(UnwritableError, match="cannot write"):
        Outputs(source / "clip.mp4").check([])
