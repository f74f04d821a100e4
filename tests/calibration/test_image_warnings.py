from pathlib import Path

import numpy as np

from edgeseg.calibration.ranges import calibrate
from edgeseg.dataset import load_images
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import write_png


def _picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def test_pictures_without_content_and_of_the_test_split_are_warned_of(
    small_artifact: OnnxArtifact, tmp_path: Path
) -> None:
    for number in range(4):
        write_png(tmp_path / "train/images" / f"{number}.png", _picture(number))
        write_png(tmp_path / "test/images" / f"other{number}.png", _picture(number + 3))
    said: list[str] = []
    calibrate(small_artifact, load_images(tmp_path, "train"), say=said.append, data=tmp_path)
    assert len(said) == 1 and "1 of 4 calibration pictures are in the test split (3.png)" in said[0]
    write_png(tmp_path / "train/images" / "black.png", np.zeros((24, 24, 3), np.uint8))
    write_png(tmp_path / "train/images" / "blue.png", np.full((24, 24, 3), (0, 0, 90), np.uint8))
    said.clear()
    calibrate(small_artifact, load_images(tmp_path, "train"), say=said.append)
    assert len(said) == 1 and "2 of 6 calibration pictures are black or of one colour (black.png, blue.png)" in said[0]


def test_sound_pictures_are_not_warned_of(small_artifact: OnnxArtifact, tmp_path: Path) -> None:
    for number in range(2):
        write_png(tmp_path / f"{number}.png", _picture(number))
    said: list[str] = []
    calibrate(small_artifact, load_images(tmp_path), say=said.append, data=tmp_path)
    assert said == []
