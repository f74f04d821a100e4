"""Measures leave ignored pixels out."""

from pathlib import Path

import numpy as np

from edgeseg.dataset import load_pairs
from edgeseg.images import write_png
from edgeseg.proof.verdict.engine_comparison import compare
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.opener.engine_from_file import open_engine


def test_wrong_pixels_that_are_ignored_cost_nothing(small_onnx: Path, tmp_path: Path) -> None:
    """Ground truth is the network's own mask, wrong in a band: ignored, the band costs nothing, else it does."""
    for index in range(3):
        frame = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
        labels = (segment(open_engine(small_onnx), frame) > 0).astype(np.uint8)
        assert 0 < labels.mean() < 1
        wrong = labels.copy()
        wrong[10:20] = 1 - wrong[10:20]
        ignored = wrong.copy()
        ignored[10:20] = 255
        for name, mask in (("wrong", wrong), ("ignored", ignored)):
            write_png(tmp_path / name / "images" / f"{index}.png", frame)
            write_png(tmp_path / name / "masks" / f"{index}.png", mask)
    engine = open_engine(small_onnx)
    found = evaluate(engine, load_pairs(tmp_path / "ignored"))
    assert (found.mean_dice, found.mean_iou, found.mean_hd95_px) == (1, 1, 0)
    assert evaluate(engine, load_pairs(tmp_path / "wrong")).mean_dice < 0.95
    rows = compare(engine, open_engine(small_onnx), load_pairs(tmp_path / "ignored")).rows
    assert all((row.dice, row.reference_dice, row.agreement) == (1, 1, 1) for row in rows)
