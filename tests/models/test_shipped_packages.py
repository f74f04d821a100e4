"""The shipped packages on the real images that their cards speak of."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.images import read_rgb
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.engine_from_file import open_engine

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDGESEG_DATA", ROOT.parent / "shared" / "data")) / "kvasir-seg"
PACKAGES = sorted(path.parent for path in (ROOT / "models").glob("*/model.onnx"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no kvasir-seg; EDGESEG_DATA names the data folder"),
]


def figures(package: Path, precision: str) -> tuple[float, ...]:
    """Mean Dice and mean IoU on Kvasir-SEG's test split from the card; Dice alone where it knows several sources."""
    card = (package / "card.md").read_text()
    by_source = re.search(r"\| kvasir-seg \| 100 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", card)
    if by_source:
        return (float(by_source.group(1 + ("fp32", "fp16", "int8").index(precision))),)
    row = re.search(rf"\| {precision} \| ([\d.]+) \| ([\d.]+) \|", card)
    assert row and "(100 images" in card
    return float(row.group(1)), float(row.group(2))


def changed_share(engine: Session, reference: Session, frame: np.ndarray) -> float:
    one, other = (segment(session, frame) for session in (engine, reference))
    return float(np.mean(one != other))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_int8_loses_no_polyp_on_any_processor_and_the_card_is_true(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    build_engine(package, BuildOptions("int8", "onnxruntime", out=out, keep_int8=True))
    engine, reference, pairs = open_engine(out), open_engine(package), load_pairs(DATA, "test")
    verdict = verify(engine, reference, pairs, limits_for("int8", 0.003, None, max_lost_polyps=0))
    assert verdict.passed is True, verdict.reasons
    assert verdict.image_count == 100
    expected, expected_fp32 = figures(package, "int8"), figures(package, "fp32")
    assert (verdict.mean_dice, verdict.mean_iou)[: len(expected)] == pytest.approx(expected, abs=1e-3)
    reached = verdict.reference_mean_dice, verdict.reference_mean_iou
    assert reached[: len(expected_fp32)] == pytest.approx(expected_fp32, abs=1e-3)
    assert np.mean([changed_share(engine, reference, read_rgb(pair.image)) for pair in pairs]) < 0.003


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_fp16_passes_at_the_default_limits(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    passport = build_engine(package, BuildOptions("fp16", "onnxruntime", out=out)).passport
    limits = limits_for("fp16", None, None, max_lost_polyps=0)
    verdict = verify(open_engine(out), open_engine(package), load_pairs(DATA, "test"), limits, passport=passport)
    assert verdict.passed is True, verdict.reasons
