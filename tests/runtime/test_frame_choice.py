from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import UsageError
from edgeseg.runtime.stream.frame_choice import FrameChoice
from edgeseg.runtime.stream.sources import SourceFrame

BOUND = st.none() | st.integers(-30, 30)


class CountedSource:
    """So many frames; its header may know, or be wrong."""

    def __init__(self, frames: int, stated: int | None) -> None:
        self.frame_count, self._frames, self.given = stated, frames, 0

    def frames(self):
        picture = np.zeros((1, 1, 3), np.uint8)
        for index in range(self._frames):
            self.given += 1
            yield SourceFrame(index, f"f{index}", index, Fraction(1, 25), picture, 0)


def chosen(text: str, frames: int, stated: int | None) -> list[int]:
    return [frame.index for frame in FrameChoice.parse(text).of(CountedSource(frames, stated))]


@given(BOUND, BOUND, st.integers(1, 25))
def test_frames_are_those_of_a_python_slice(first: int | None, end: int | None, count: int) -> None:
    expected = list(range(count))[first:end]
    text = f"{'' if first is None else first}:{'' if end is None else end}"
    assert str(FrameChoice.parse(text)) == text
    if expected:
        assert chosen(text, count, count) == expected
    else:
        with pytest.raises(UsageError, match="no frame"):
            chosen(text, count, count)


def test_a_video_that_does_not_say_how_long_it_is() -> None:
    assert chosen("3:6", 10, None) == [3, 4, 5]
    assert chosen("8:", 10, None) == [8, 9]
    with pytest.raises(UsageError, match="counted from the end"):
        chosen("-3:", 10, None)


def test_a_header_that_counts_too_few_frames_cuts_nothing_off() -> None:
    assert chosen("8:", 12, 10) == [8, 9, 10, 11]
    assert chosen(":", 12, 10) == list(range(12))


def test_a_range_behind_the_end() -> None:
    with pytest.raises(UsageError, match="no frame"):
        chosen("20:", 10, None)


def test_nothing_is_decoded_behind_the_range() -> None:
    source = CountedSource(1000, 1000)
    assert len(list(FrameChoice.parse("2:5").of(source))) == 3
    assert source.given == 5


@pytest.mark.parametrize("text", ["", "3", "a:b", "1:2:3", "1.5:", "--3:"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(UsageError, match="no range") as caught:
        FrameChoice.parse(text)
    assert caught.value.exit_code == 2
