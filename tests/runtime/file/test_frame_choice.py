from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import UsageError
from edgeseg.runtime.file.frame_choice import FrameChoice, split_choice
from edgeseg.runtime.video.source import SourceFrame

BOUND = st.none() | st.integers(-30, 30)
PARTS = st.lists(st.tuples(BOUND, BOUND, st.integers(1, 7)), min_size=1, max_size=3)


class CountedSource:
    """So many frames; its header may know, or be wrong."""

    def __init__(self, frames: int, stated: int | None) -> None:
        self.frame_count, self._frames, self.given = stated, frames, 0

    def frames(self):
        picture = np.zeros((1, 1, 3), np.uint8)
        for index in range(self._frames):
            self.given += 1
            yield SourceFrame(index, 0, 0, index, Fraction(1, 25), picture, stem=f"f{index}")


def chosen(text: str, frames: int, stated: int | None) -> list[int]:
    return [frame.index for frame in FrameChoice.parse(text).of(CountedSource(frames, stated))]


def written(first: int | None, end: int | None, step: int) -> str:
    bounds = ":".join("" if bound is None else str(bound) for bound in (first, end))
    return bounds if step == 1 else f"{bounds}:{step}"


@given(PARTS, st.integers(1, 25))
def test_frames_are_those_of_python_slices(parts: list[tuple[int | None, int | None, int]], count: int) -> None:
    slices = [list(range(count))[first:end:step] for first, end, step in parts]
    text = ",".join(written(*part) for part in parts)
    assert str(FrameChoice.parse(text)) == text
    if all(slices):
        expected = sorted({index for part in slices for index in part})
        assert chosen(text, count, count) == expected
        assert FrameChoice.parse(text).indices(count) == expected
    else:
        with pytest.raises(UsageError, match="no frame"):
            chosen(text, count, count)


def test_a_video_that_does_not_say_how_long_it_is() -> None:
    assert chosen("3:6", 10, None) == [3, 4, 5]
    assert chosen("8:", 10, None) == [8, 9]
    assert chosen("5::2", 10, None) == [5, 7, 9]
    with pytest.raises(UsageError, match="counted from the end"):
        chosen("-3:", 10, None)


def test_a_header_that_counts_too_few_frames_cuts_nothing_off() -> None:
    assert chosen("8:", 12, 10) == [8, 9, 10, 11]
    assert chosen(":", 12, 10) == list(range(12))


@pytest.mark.parametrize("text", ["20:", "1:3,20:22"])
def test_a_range_behind_the_end(text: str) -> None:
    with pytest.raises(UsageError, match="no frame in the range 20:"):
        chosen(text, 10, None)


def test_nothing_is_decoded_behind_the_last_range() -> None:
    source = CountedSource(1000, 1000)
    assert len(list(FrameChoice.parse("20:23,2:5").of(source))) == 6
    assert source.given == 23


@pytest.mark.parametrize("text", ["", "3", "a:b", "1:2:3:4", "1:2:0", "1:2:-1", "1.5:", "--3:", "1:2,", "1:2;4:5"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(UsageError, match="no range") as caught:
        FrameChoice.parse(text)
    assert caught.value.exit_code == 2


def test_a_source_with_its_frames(tmp_path: Path) -> None:
    assert split_choice("a/clip.mp4@3:5,9:") == (Path("a/clip.mp4"), FrameChoice.parse("3:5,9:"))
    assert split_choice("a/clip.mp4") == (Path("a/clip.mp4"), FrameChoice())
    odd = tmp_path / "x@1:2"
    odd.mkdir()
    assert split_choice(str(odd)) == (odd, FrameChoice())
    assert split_choice(f"{odd}@0:4:2") == (odd, FrameChoice.parse("0:4:2"))
    with pytest.raises(UsageError, match="no range"):
        split_choice("clip.mp4@half")
