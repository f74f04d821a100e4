from __future__ import annotations

import cv2
import pytest

from edgeseg.runtime.video.one_thread import opencv_on_one_thread


def test_opencv_has_its_threads_again_afterwards() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with pytest.raises(KeyError), opencv_on_one_thread():
            assert cv2.getNumThreads() == 1
            raise KeyError
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
