"""The folder of negatives: what is in it, what its list says, and that it is whole or not there."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.dataset import hash_files, load_images
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import encode_jpeg, read_rgb, write_png
from edgeseg.runtime.file.frame_choice import split_choice
from edgeseg.train.negatives import COLUMNS, LIST_NAME, NegativeSource, WindowSource, write_negatives
from edgeseg.windows import WindowRule

RULE = WindowRule(margin=0.0)


def source(text: str | Path) -> NegativeSource:
    return NegativeSource(*split_choice(str(text)))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / LIST_NAME).open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Six images in three formats, in the folder `images` of `stills`."""
    folder = tmp_path / "stills" / "images"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for index, suffix in enumerate((".jpg", ".png", ".bmp") * 2):
        picture = rng.integers(0, 256, (20, 24 + index, 3), dtype=np.uint8)
        if suffix == ".jpg":
            (folder / f"s{index}.jpg").write_bytes(encode_jpeg(picture))
        else:
            cv2.imwrite(str(folder / f"s{index}{suffix}"), picture)
    return folder


@pytest.fixture
def polyps(tmp_path: Path) -> Path:
    """Train split: polyp in the left half of one picture, over all of the other; a test split, too."""
    for split, name, width in (("train", "half", 32), ("train", "full", 64), ("test", "kept", 8)):
        frame, mask = np.full((64, 64, 3), 120, np.uint8), np.zeros((64, 64), np.uint8)
        frame[:, :width], mask[:, :width] = 220, 255
        write_png(tmp_path / "polyps" / split / "images" / f"{name}.png", frame)
        write_png(tmp_path / "polyps" / split / "masks" / f"{name}.png", mask)
    return tmp_path / "polyps"


def test_images_keep_their_bytes_and_others_become_png(stills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = write_negatives([source(stills)], None, out)
    assert result.pictures == 6
    assert (out / "stills-s0.jpg").read_bytes() == (stills / "s0.jpg").read_bytes()
    assert (out / "stills-s1.png").read_bytes() == (stills / "s1.png").read_bytes()
    assert np.array_equal(read_rgb(out / "stills-s2.png"), read_rgb(stills / "s2.bmp"))
    assert result.data_sha256 == hash_files(load_images(out))


def test_the_list_names_every_picture_and_what_it_came_from(
    stills: Path, polyps: Path, numbered_clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    windows = WindowSource(polyps, RULE)
    result = write_negatives([source(f"{stills}@1:5:2"), source(f"{numbered_clip}@-10::4")], windows, out)
    rows = rows_of(out)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["source"], row["file"], row["frame"]) for row in rows] == [
        ("stills", "s1.png", "1"),
        ("stills", "s3.jpg", "3"),
        ("numbered", "numbered.mp4", "30"),
        ("numbered", "numbered.mp4", "34"),
        ("numbered", "numbered.mp4", "38"),
        ("polyps", "train/images/half.png", "1"),
    ]
    assert {row["name"] for row in rows} == {path.name for path in load_images(out)}
    assert str(tmp_path) not in (out / LIST_NAME).read_text()
    assert [(part.source, part.frames, part.pictures, part.seen) for part in result.sources] == [
        ("stills", "1:5:2", 2, 2),
        ("numbered", "-10::4", 3, 3),
        ("polyps", None, 1, 2),
    ]


def test_frames_are_those_that_were_asked_for(numbered_clip: Path, numbered, tmp_path: Path) -> None:
    write_negatives([source(f"{numbered_clip}@3:9:3,20:22")], None, tmp_path / "out")
    pictures = load_images(tmp_path / "out")
    assert [path.stem for path in pictures] == [f"numbered-frame_{index:06d}" for index in (3, 6, 20, 21)]
    assert [numbered.read(read_rgb(path)) for path in pictures] == [3, 6, 20, 21]


def test_windows_hold_nothing_of_the_polyp(polyps: Path, tmp_path: Path) -> None:
    write_negatives([], WindowSource(polyps, RULE), tmp_path / "out")
    (picture,) = load_images(tmp_path / "out")
    assert picture.name == "polyps-window-half.png"
    frame = read_rgb(picture)
    assert frame.shape == (32, 32, 3) and (frame == 120).all()
    (row,) = rows_of(tmp_path / "out")
    assert (row["top_px"], row["left_px"], row["side_px"]) == ("0", "32", "32")


def test_windows_take_the_side_that_is_asked_for(polyps: Path, tmp_path: Path) -> None:
    write_negatives([], WindowSource(polyps, RULE, side_px=48), tmp_path / "out")
    assert read_rgb(load_images(tmp_path / "out")[0]).shape == (48, 48, 3)


def test_the_same_sources_give_the_same_bytes(stills: Path, polyps: Path, numbered_clip: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        write_negatives([source(stills), source(f"{numbered_clip}@:5")], WindowSource(polyps, RULE), tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]


def test_sources_of_one_name_do_not_mix(stills: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "stills"
    write_png(other / "s1.png", np.zeros((8, 8, 3), np.uint8))
    result = write_negatives([source(stills), source(other)], None, tmp_path / "out")
    assert [part.source for part in result.sources] == ["stills", "stills-2"]
    assert (tmp_path / "out" / "stills-2-s1.png").read_bytes() == (other / "s1.png").read_bytes()
    assert result.pictures == 7


def test_an_image_that_cannot_be_read_leaves_nothing(stills: Path, tmp_path: Path) -> None:
    (stills / "s3.jpg").write_bytes((stills / "s3.jpg").read_bytes()[:-30])
    with pytest.raises(BadInputError, match=r"s3\.jpg is cut off"):
        write_negatives([source(stills)], None, tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_a_range_behind_the_end_is_refused_before_anything_is_written(
    stills: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("edgeseg.train.negatives.atomic_folder", None)
    with pytest.raises(UsageError, match=r"no frame in the range 6:"):
        write_negatives([source(f"{stills}@6:9")], None, tmp_path / "out")


def test_a_source_given_twice(stills: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="given twice"):
        write_negatives([source(f"{stills}@:2"), source(f"{stills}@4:")], None, tmp_path / "out")


def test_no_source_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to take"):
        write_negatives([], None, tmp_path / "out")


def test_windows_of_a_data_set_without_splits(polyps: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="has no splits"):
        write_negatives([], WindowSource(polyps / "train", RULE), tmp_path / "out")


def test_polyps_that_leave_no_room(polyps: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (polyps / "train" / part / "half.png").unlink()
    with pytest.raises(BadInputError, match="window without a polyp") as caught:
        write_negatives([], WindowSource(polyps, RULE), tmp_path / "out")
    assert "margin" in str(caught.value)
    assert not (tmp_path / "out").exists()
