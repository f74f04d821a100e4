"""A source over connections that do as they are told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.reconnecting import ReconnectingSource
from edgeseg.runtime.video.decoder import Decoded
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming

QUICK = SourceOptions(first_pause_s=0.01, longest_pause_s=0.02)


class ObedientConnection:
    """Three pictures, then what it is told to raise."""

    decoder_name, corrupt, skipped, arrival_is_time = "obedient", 0, 0, False

    def __init__(self, then: Exception, timing: ClipTiming) -> None:
        self.timing: ClipTiming | None = timing
        self._left, self._then = iter(range(3)), then

    def next_picture(self, wait_s: float) -> Decoded | None:
        number = next(self._left, None)
        if number is None:
            raise self._then
        now_ns = time.monotonic_ns()
        picture = Picture.of_bgr(np.zeros((8, 8, 3), np.uint8)).planar()
        return Decoded(picture, Fraction(number, 25), None, now_ns, now_ns, False)

    def close(self) -> None:
        pass


def _timings() -> Iterator[ClipTiming]:
    for number in itertools.count(1):
        yield ClipTiming(Fraction(1, 25), Fraction(25), sample_aspect_ratio=Fraction(number))


def test_a_defect_behind_one_picture_costs_a_connection_and_not_the_stream() -> None:
    timings = _timings()
    then = ValueError("no such format at rtsp://user:secret@host/")
    source = ReconnectingSource("camera:0", lambda: ObedientConnection(then, next(timings)), QUICK)
    frames = list(itertools.islice(source.frames(), 7))
    assert [frame.index for frame in frames] == list(range(7))
    assert source.status().reconnects == 2
    assert "ValueError" in source.status().last_error
    assert "secret" not in source.status().last_error


def test_pixels_are_of_the_shape_that_the_newest_connection_says() -> None:
    timings = _timings()
    source = ReconnectingSource("camera:0", lambda: ObedientConnection(ValueError("end"), next(timings)), QUICK)
    shapes = [source.timing.sample_aspect_ratio for _ in itertools.islice(source.frames(), 7)]
    assert shapes == [1, 1, 1, 2, 2, 2, 3]
