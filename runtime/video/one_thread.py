"""Runs OpenCV without threads of its own, where the stages of a pipeline have theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cv2


@contextlib.contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Keep OpenCV to the calling thread in the block: a picture's steps are too short to be worth threads."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
