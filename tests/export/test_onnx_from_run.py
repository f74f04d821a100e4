from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, ToleranceError
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import read_rgb
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.train.predictor import TorchSession, open_run


def test_the_graph_keeps_the_contract(tiny_run: Path, squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    frames = parity_inputs(squares, open_run(tiny_run).info.model)
    metadata = export_run(tiny_run, out, frames)
    proto = onnx.load(out)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version == 10
    assert proto.opset_import[0].version in (19, 20)
    assert [node.op_type for node in proto.graph.node[:2]] == ["Cast", "Transpose"]
    assert not any(node.op_type in ("BatchNormalization", "Pad") for node in proto.graph.node)
    assert load_onnx(out).metadata == metadata
    assert metadata.provenance.metrics["parity_inputs"] == 4
    assert metadata.provenance.metrics["max_probability_difference"] <= 1e-4


def test_pytorch_and_onnx_agree_on_images_of_any_batch(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    export_run(tiny_run, out)
    for batch in (1, 5):
        frames = np.random.default_rng(batch).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
        difference = np.abs(open_run(tiny_run).infer(frames) - open_engine(out).infer(frames)).max()
        assert difference < 1e-4


def test_evaluation_is_the_same_before_and_after(tiny_run: Path, squares: Path, tmp_path: Path) -> None:
    export_run(tiny_run, tmp_path / "model.onnx")
    pairs = load_pairs(squares, "test")
    before, after = (
        evaluate(engine_of(open_run(tiny_run)), pairs),
        evaluate(open_engine(tmp_path / "model.onnx"), pairs),
    )
    assert before.mean_dice == pytest.approx(after.mean_dice, abs=2e-3)


def test_names_come_from_modules_and_no_paths_leak(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    export_run(tiny_run, out)
    assert b".py" not in out.read_bytes()
    proto = onnx.load(out)
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert [entry.key for entry in proto.metadata_props] == ["edgeseg"]
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    assert {"levels.0.0.0", "decoder.0.first.0", "head"} <= set(names)


def test_two_exports_are_the_same_bytes(tiny_run: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        export_run(tiny_run, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_graph_that_differs_is_refused_with_its_worst_input(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = TorchSession.infer

    def skewed(self: TorchSession, frames: np.ndarray) -> np.ndarray:
        result = honest(self, frames)
        return result + 0.01 if (frames[0] == 77).all() else result

    monkeypatch.setattr(TorchSession, "infer", skewed)
    culprit = np.full((1, 32, 32, 3), 77, np.uint8)
    out = tmp_path / "new" / "model.onnx"
    with pytest.raises(ToleranceError) as caught:
        export_run(tiny_run, out, [culprit + 1, culprit])
    assert caught.value.exit_code == 3
    assert [path.name for path in out.parent.iterdir()] == ["model.worst-input.png"]
    np.testing.assert_array_equal(read_rgb(out.parent / "model.worst-input.png"), culprit[0])
    assert MAX_PROBABILITY_DIFFERENCE == 1e-4


def test_a_nan_anywhere_is_a_difference(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        TorchSession, "infer", lambda self, frames: np.full((len(frames), 1, 32, 32), np.nan, np.float32)
    )
    with pytest.raises(ToleranceError):
        export_run(tiny_run, tmp_path / "model.onnx")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        export_run(tmp_path, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
