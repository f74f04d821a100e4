"""The shipped packages on the real images that their cards speak of."""

import os
import re
from pathlib import Path

import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.dataset import load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.runtime.loading import open_engine, open_onnx
from edgeseg.runtime.passports import passport_path
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
    limits = limits_for(passport.precision, None, None)
    verdict = verify(open_engine(out), open_onnx(package), load_pairs(DATA, "test"), limits, passport=passport)
    assert verdict.passed is True, verdict.reasons
