from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from edgeseg.runtime.batch import frame_rows
from edgeseg.runtime.batch.frame_rows import ClipNotes, clip_batches, clip_file, clip_notes, grid_of, packed_grid
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.specs import ModelSpec

SOFTMAX = ModelSpec(architecture="a", classes=("background", "polyp", "tool"), height=32, width=32, output="softmax")


def frame(index: int, height: int, width: int) -> SourceFrame:
    picture = Picture.of_bgr(np.zeros((height, width, 3), np.uint8))
    return SourceFrame(index, 0, 0, 512 * index, Fraction(1, 12_800), picture)


def test_each_class_but_the_background_is_described(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 10:30], mask[20:25, 40:50] = 1, 2
    probability = np.full((3, 32, 32), 0.1, np.float32)
    probability[1, 3, 4], probability[2, 5, 6] = 0.75, 0.625
    with clip_file(tmp_path / "clip.arrow", SOFTMAX) as rows:
        rows.name = "a.mp4"
        rows.write(frame(0, 40, 60), mask, probability)
    (table,) = clip_batches(tmp_path / "clip.arrow")
    (row,) = table.to_pylist()
    assert (row["source"], row["marked_share"]) == ("a.mp4", 250 / 2400)
    assert [(each["name"], each["area_px"], each["largest_probability"]) for each in row["classes"]] == [
        ("polyp", 200, 0.75),
        ("tool", 50, 0.625),
    ]
    for index, each in enumerate(row["classes"], 1):
        assert np.array_equal(coco.decode(each["segmentation"]), mask == index)


def test_a_long_clip_is_written_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_rows, "ROWS_AT_ONCE", 4)
    notes = ClipNotes(head=("a", "b"), tail=("c",), time_base=(1, 12_800), lost_frames=3)
    with clip_file(tmp_path / "clip.arrow", ModelSpec(architecture="a", height=32, width=32)) as rows:
        for index in range(10):
            rows.write(frame(index, 32, 32), np.zeros((32, 32), np.uint8), np.zeros((1, 32, 32), np.float32))
        assert not (tmp_path / "clip.arrow").exists()
        rows.notes = notes
    assert rows.count == 10
    pieces = [table["frame"].to_pylist() for table in clip_batches(tmp_path / "clip.arrow")]
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert [*pieces[0], *pieces[1], *pieces[2]] == list(range(10))
    assert clip_notes(tmp_path / "clip.arrow") == notes


@given(
    mask=hnp.arrays(np.uint8, st.tuples(st.integers(1, 300), st.integers(1, 300)), elements=st.sampled_from([0, 255]))
)
def test_the_grid_is_the_one_on_which_live_video_follows_lesions(mask: np.ndarray) -> None:
    expected = cv2.resize(mask, (128, 128), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(grid_of(packed_grid(mask)), expected)
