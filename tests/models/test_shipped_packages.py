"""The shipped packages on the real images that their cards speak of."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.dataset import load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.images import read_rgb
from edgeseg.runtime.loading import open_engine, open_onnx
from edgeseg.runtime.passports import passport_path
from edgeseg.runtime.session import Session, mask_at_frame, probability_of
from edgeseg.runtime.verify.evaluation import evaluate
from edgeseg.runtime.verify.rules import limits_for
from edgeseg.runtime.verify.verification import verify

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDGESEG_DATA", ROOT.parent / "shared" / "data")) / "kvasir-seg"
PACKAGES = sorted(path.parent for path in (ROOT / "models").glob("*/model.onnx"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no kvasir-seg; EDGESEG_DATA names the data folder"),
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_card_is_true(package: Path) -> None:
    figure = re.search(r"\| fp32 \| ([\d.]+) \| ([\d.]+) \|", (package / "card.md").read_text())
    assert figure
    result = evaluate(open_onnx(package), load_pairs(DATA, "test"))
    assert result.image_count == 100
    assert result.mean_dice == pytest.approx(float(figure.group(1)), abs=1e-3)
    assert result.mean_iou == pytest.approx(float(figure.group(2)), abs=1e-3)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_engine_passes_at_the_default_limits(package: Path, precision: str, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    build_engine(package, BuildOptions(precision, "onnxruntime", out=out))
    passport = EngineArtifact.read(passport_path(out))
    limits = limits_for(passport.precision, None, None, max_lost_polyps=0)
    verdict = verify(open_engine(out), open_onnx(package), load_pairs(DATA, "test"), limits, passport=passport)
    assert verdict.passed is True, verdict.reasons


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_int8_keeps_the_masks_on_every_kind_of_processor(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    build_engine(package, BuildOptions("int8", "onnxruntime", out=out, keep_int8=True))
    engine, reference, pairs = open_engine(out), open_onnx(package), load_pairs(DATA, "test")
    figure = re.search(r"\| int8 \| ([\d.]+) \|", (package / "card.md").read_text())
    assert figure
    verdict = verify(engine, reference, pairs, limits_for("int8", 0.003, None, max_lost_polyps=0))
    assert verdict.passed is True, verdict.reasons
    assert verdict.mean_dice == pytest.approx(float(figure.group(1)), abs=1e-3)
    assert np.mean([changed_share(engine, reference, read_rgb(pair.image)) for pair in pairs]) < 0.003


def changed_share(engine: Session, reference: Session, frame: np.ndarray) -> float:
    one, other = (mask_at_frame(s, probability_of(s, frame), *frame.shape[:2]) for s in (engine, reference))
    return float(np.mean(one != other))
