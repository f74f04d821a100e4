"""Frames without ground truth: false alarms, and a clip that shows a polyp."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.dataset import hash_files
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import sha256_file
from edgeseg.images import write_png
from edgeseg.proof.evaluation.false_alarms import FalseAlarms, false_alarms
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, longest_run, measure_frames
from edgeseg.proof.evaluation.polyp_clip import PolypClip, polyp_clip, read_ranges
from edgeseg.proof.verdict.evaluation import NotFiniteError
from edgeseg.runtime.file.frame_choice import FrameChoice
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession


def test_false_alarms_by_hand(bright_session, folder_of) -> None:
    # 1 % of 1024 pixels is 10.24: ten are none, eleven are an alarm.
    source = UnlabelledSource(folder_of([0, 10, 11, 512, 0]))
    alarms = false_alarms(measure_frames(bright_session, source), source)
    assert (alarms.frame_count, alarms.alarm_count, alarms.alarm_share) == (5, 2, 2 / 5)
    assert alarms.any_mask_share == 3 / 5
    assert alarms.mean_false_area == pytest.approx((10 + 11 + 512) / 5 / 1024)
    assert alarms.blobs_per_frame == 3 / 5
    assert alarms.longest_alarm_frames is None  # still images have no order in time
    assert [row.counts for row in alarms.per_frame] == [False, False, True, True, False]
    assert FalseAlarms.from_json(alarms.to_json()) == alarms


def test_the_limit_can_be_moved(bright_session, folder_of) -> None:
    source = UnlabelledSource(folder_of([0, 10, 11, 512, 0]), false_mask_share=0.5)
    assert false_alarms(measure_frames(bright_session, source), source).alarm_count == 1


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_limit_that_is_no_share(tmp_path: Path, share: float) -> None:
    with pytest.raises(UsageError, match="no share"):
        UnlabelledSource(tmp_path, false_mask_share=share)


def test_regions_that_touch_at_a_corner_are_one(bright_session, tmp_path: Path) -> None:
    picture = np.full((32, 32, 3), 20, np.uint8)
    picture[2:6, 2:6] = picture[6:10, 6:10] = picture[20:22, 3:5] = picture[28:31, 28:31] = 240
    write_png(tmp_path / "one.png", picture)
    (row,) = measure_frames(bright_session, UnlabelledSource(tmp_path / "one.png")).rows
    assert (row.blobs, row.mask_share) == (3, (16 + 16 + 4 + 9) / 1024)


def test_the_last_images_by_name(bright_session, folder_of) -> None:
    source = UnlabelledSource(folder_of([900, 0, 300, 20]), FrameChoice.parse("-2:"))
    masks = measure_frames(bright_session, source)
    assert [(row.index, row.name) for row in masks.rows] == [(2, "p02"), (3, "p03")]
    others = measure_frames(bright_session, UnlabelledSource(source.path, FrameChoice.parse(":2")))
    assert masks.data_sha256 != others.data_sha256


def clip(videos, tmp_path: Path, areas: list[int]) -> Path:
    """A lossless video of 64 x 64, grey, of which frame i has so many bright rows."""
    images = []
    for rows in areas:
        image = np.full((64, 64, 3), 20, np.uint8)
        image[:rows] = 240
        images.append(image)
    return videos.write(tmp_path / "clip.mp4", images, options={"qp": "0", "preset": "ultrafast"})


def test_a_video_counts_runs(bright_session, videos, tmp_path: Path) -> None:
    path = clip(videos, tmp_path, [0, 32, 32, 0, 32, 32, 32, 0, 0, 32])
    source = UnlabelledSource(path)
    masks = measure_frames(bright_session, source)
    alarms = false_alarms(masks, source)
    assert (alarms.frame_count, alarms.alarm_count, alarms.longest_alarm_frames) == (10, 6, 3)
    assert alarms.data_sha256 == sha256_file(path)
    assert alarms.mean_false_area == pytest.approx(0.3, abs=0.01)
    part = UnlabelledSource(path, FrameChoice.parse("2:6"))
    rows = measure_frames(bright_session, part).rows
    assert [(row.index, row.name) for row in rows] == [(index, f"frame_{index:06d}") for index in range(2, 6)]
    assert (longest_run(rows), longest_run(rows, counts=False)) == (2, 1)


def test_several_ranges_of_a_video(bright_session, videos, tmp_path: Path) -> None:
    path = clip(videos, tmp_path, [32, 32, 32, 0, 32, 32, 32, 0, 0, 32])
    source = UnlabelledSource(path, FrameChoice.parse("1:3,6:10"))
    found = polyp_clip(measure_frames(bright_session, source), source)
    assert [row.index for row in found.per_frame] == [1, 2, 6, 7, 8, 9]
    assert (found.frames, found.frame_count, found.counting_share) == ("1:3,6:10", 6, 4 / 6)
    assert found.longest_marked_frames == 2  # 1 and 2; what lies between 2 and 6 was not looked at
    assert found.longest_unmarked_frames == 2


def test_neighbours_of_every_third_frame(bright_session, videos, tmp_path: Path) -> None:
    path = clip(videos, tmp_path, [32, 0, 0, 32, 0, 0, 32, 0, 0, 0, 0, 0])
    rows = measure_frames(bright_session, UnlabelledSource(path, FrameChoice.parse("::3"))).rows
    assert [row.index for row in rows] == [0, 3, 6, 9]
    assert (longest_run(rows), longest_run(rows, counts=False)) == (3, 1)


def test_images_of_several_ranges_are_hashed_alone(bright_session, folder_of) -> None:
    folder = folder_of([0, 900, 5, 300])
    masks = measure_frames(bright_session, UnlabelledSource(folder, FrameChoice.parse("0:1,2:")))
    assert masks.data_sha256 == hash_files(folder / f"p{index:02d}.png" for index in (0, 2, 3))


def test_the_largest_masks_are_kept_as_pictures(bright_session, folder_of) -> None:
    source = UnlabelledSource(folder_of([5, 700, 0, 40, 700, 300]))
    largest = measure_frames(bright_session, source, keep=3).largest
    assert [kept.row.name for kept in largest] == ["p01", "p04", "p05"]
    assert np.count_nonzero(largest[2].mask) == 300
    assert (largest[2].frame[..., 0] > 128).sum() == 300
    assert len(measure_frames(bright_session, source, keep=99).largest) == 5  # an empty mask shows nothing


def test_probabilities_that_are_not_finite_name_the_frame(bright_session, folder_of, monkeypatch) -> None:
    monkeypatch.setattr(
        OnnxRuntimeSession, "infer", lambda self, frames: np.full((len(frames), 1, 32, 32), np.nan, np.float32)
    )
    with pytest.raises(NotFiniteError, match="p00"):
        measure_frames(bright_session, UnlabelledSource(folder_of([0])))


def test_a_polyp_clip_without_labels(bright_session, videos, tmp_path: Path) -> None:
    source = UnlabelledSource(clip(videos, tmp_path, [32, 32, 0, 0, 0, 32, 0]))
    found = polyp_clip(measure_frames(bright_session, source), source)
    assert (found.counting_share, found.any_mask_share) == (3 / 7, 3 / 7)
    assert (found.longest_marked_frames, found.longest_unmarked_frames) == (2, 3)
    assert found.labelled is None


def test_a_polyp_clip_with_labels(bright_session, videos, tmp_path: Path) -> None:
    source = UnlabelledSource(clip(videos, tmp_path, [32, 32, 0, 0, 0, 32, 0]))
    (tmp_path / "shown.csv").write_text("first,last,who\n1,3,a\n5,5,b\n")
    shown = read_ranges(tmp_path / "shown.csv")
    found = polyp_clip(measure_frames(bright_session, source), source, shown)
    assert found.labelled is not None
    assert (found.labelled.polyp_frames, found.labelled.found_share) == (4, 2 / 4)
    assert found.labelled.longest_missed_frames == 2
    assert (found.labelled.other_frames, found.labelled.other_alarm_share) == (3, 1 / 3)
    assert PolypClip.from_json(found.to_json()) == found


def test_labels_that_name_none_of_the_frames(bright_session, folder_of) -> None:
    source = UnlabelledSource(folder_of([0, 0]))
    with pytest.raises(BadInputError, match="none of the frames"):
        polyp_clip(measure_frames(bright_session, source), source, [(7, 9)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no columns"),
        ("from,to\n1,2\n", "no columns"),
        ("first,last\n", "names no frames"),
        ("first,last\n3,1\n", "line 2"),
        ("first,last\n0,4\n-2,1\n", "line 3"),
        ("first,last\n1\n", "line 2"),
        ("first,last\n1,x\n", "line 2"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "shown.csv").write_text(text)
    with pytest.raises(BadInputError, match=message) as caught:
        read_ranges(tmp_path / "shown.csv")
    assert "first,last" in str(caught.value)
