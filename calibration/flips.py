"""Counts the pixels of the mask in which INT8 graphs differ from float32, so that calibration can choose one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.calibration.cpu_session import cpu_session
from edgeseg.calibration.selection import choose_images
from edgeseg.frames import Mask, mask_from_probability, resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.specs import INPUT_NAME

TRIED = 32
"""Pictures at most on which graphs are compared."""


def flipped_shares(
    artifact: OnnxArtifact,
    graphs: Sequence[onnx.ModelProto],
    images: Sequence[Path],
    track: Track = silent,
    work: str = "comparing graphs",
) -> list[float]:
    """Run float32 and each graph on at most 32 of some pictures.

    Args:
        artifact: The network, float32.
        graphs: The same network as INT8.
        images: Files; at least one.
        track: Draws the progress.
        work: Its name.

    Returns:
        For each graph the share of the mask's pixels, at the network's size, whose class differs from float32's; mean
        over pictures.
    """
    sessions = [cpu_session(proto) for proto in (artifact.proto, *graphs)]
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    shares = []
    tried = choose_images(images, TRIED)
    for path in track(tried, work, len(tried)):
        frame = resize_to_network(read_rgb(path), model.height, model.width, crop)
        exact, *rounded = (_mask(session, frame) for session in sessions)
        shares.append([float(np.mean(mask != exact)) for mask in rounded])
    means: list[float] = np.mean(shares, axis=0).tolist()
    return means


def _mask(session: Any, frame: NDArray[np.uint8]) -> Mask:
    probability = session.run(None, {INPUT_NAME: frame[np.newaxis]})[0][0]
    return mask_from_probability(probability, *frame.shape[:2])
