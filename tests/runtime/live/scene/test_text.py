from __future__ import annotations

import cv2
import numpy as np

from edgeseg.runtime.live.scene.region import WHOLE, VisibleRegion
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.text import StaticText, TextSettings
from edgeseg.runtime.video.picture import Picture

SETTINGS = TextSettings(sample_every=1)
REGION = VisibleRegion(480, 640, WHOLE, found=False)


def scene(rng: np.random.Generator, still: np.random.Generator | None, text: bool) -> Picture:
    source = still or rng
    coarse = source.integers(70, 190, (24, 32, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    if text:
        cv2.putText(image, "12:34 HD", (200, 250), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 4)
    return Picture.of_bgr(image)


def collected(frames: int, moves: bool, text: bool) -> np.ndarray:
    rng, watch = np.random.default_rng(0), StaticText(SETTINGS)
    for _ in range(frames):
        still = None if moves else np.random.default_rng(1)
        mask = watch.update(reduce_picture(scene(rng, still, text)), REGION)
    return mask


def test_text_over_moving_tissue_is_found_where_it_stands() -> None:
    mask = collected(60, moves=True, text=True) > 0
    drawn = np.zeros((480, 640), np.uint8)
    cv2.putText(drawn, "12:34 HD", (200, 250), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 255, 4)
    truth = cv2.resize(drawn, (320, 240), interpolation=cv2.INTER_AREA) > 127
    assert (mask & truth).sum() > 0.9 * truth.sum()
    around = cv2.dilate(truth.astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    assert not (mask & ~around).any()


def test_without_text_nothing_is_masked() -> None:
    assert not collected(60, moves=True, text=False).any()


def test_a_scene_at_rest_is_not_text() -> None:
    assert not collected(200, moves=False, text=False).any()


def test_there_is_no_opinion_before_enough_views() -> None:
    assert not collected(SETTINGS.samples - 1, moves=True, text=True).any()
