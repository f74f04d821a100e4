"""`build-engine --max-dice-drop`: the layers that were made to hurt go back, and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from edgeseg.artifacts import EngineArtifact, PrecisionPlan
from edgeseg.calibration.plan_files import read_plan
from edgeseg.calibration.ranges import calibrate
from edgeseg.cli import run
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.optional import is_installed
from tests.export.mixing.conftest import CHAIN, Chain

BACKENDS = ["onnxruntime", *(["openvino"] if is_installed("openvino") else [])]


class Desk:
    """A network beside its calibration table, as a package would hold them; commands are typed here."""

    def __init__(self, folder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.data, self.capsys = folder, data, capsys
        self.model, self.table, self.engine = folder / "model.onnx", folder / "table.json", folder / "x.engine"
        self.said = ""

    def lay(self, chain: Chain) -> None:
        chain.save(self.model)
        calibrate(load_onnx(self.model), list_images(self.data / "train" / "images")).write(self.table)

    def type(self, *words: object) -> tuple[int, dict[str, Any]]:
        code = run([*map(str, words), "--json"])
        printed = self.capsys.readouterr()
        self.said = " ".join(printed.err.split())
        return code, json.loads(printed.out or "{}")

    def build(self, *words: object, backend: str = "onnxruntime") -> tuple[int, dict[str, Any]]:
        source = (self.model, "--calibration", self.table, "--backend", backend, "--out", self.engine)
        return self.type("build-engine", *source, "--data", self.data, *words)

    @property
    def passport(self) -> EngineArtifact:
        return EngineArtifact.read(self.engine.with_name("x.engine.json"))

    def masks_are_right(self, folder: Path) -> bool:
        """By ONNX Runtime and Pillow alone."""
        session = onnxruntime.InferenceSession(self.engine.read_bytes(), providers=["CPUExecutionProvider"])
        for path in sorted((folder / "images").iterdir()):
            frame = np.asarray(Image.open(path))[np.newaxis]
            found = session.run(None, {"frame": frame})[0][0, 0] >= 0.5
            if not np.array_equal(found, np.asarray(Image.open(folder / "masks" / path.name)) > 0):
                return False
        return True


@pytest.fixture
def desk(tmp_path: Path, bright_squares: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, bright_squares, capsys)


def in_float(plan: PrecisionPlan) -> set[str]:
    return {name for name in CHAIN if plan.precision_of(name) != "int8"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layer", ["a", "c", "e"])
def test_the_layer_whose_weights_hurt_goes_back_alone(chain: Chain, desk: Desk, layer: str, backend: str) -> None:
    chain.spread_weights(layer)
    desk.lay(chain)
    code, document = desk.build("--max-dice-drop", "0.001", "--max-lost-polyps", "0", backend=backend)
    assert code == 0
    assert document["precision_plan"]["layers"] == {"first": "fp32", "last": "fp32", layer: "fp32"}
    search = document["build"]["search"]
    assert [sent["layer"] for sent in search["sent_back"]] == [layer]
    assert search["throughout"]["lost_polyps"] == 8  # every picture of the validation split
    assert search["found"] == {"mean_dice_drop": 0, "lost_polyps": 0, "flipped_share": 0}
    assert search["runs"] == 1 + len(CHAIN) + 1
    assert search["cost"]["mixed_ms"] > 0
    assert f"1 of 5 convolutions went back to fp32 in 7 runs (at most {search['most_runs']})" in desk.said
    assert document["int8_convolutions"] == len(CHAIN) - 1
    assert desk.masks_are_right(desk.data / "validation")


def test_both_neighbours_of_an_outlying_tensor_go_back(chain: Chain, desk: Desk) -> None:
    """If either one is in INT8, the tensor between them is quantised, so leaving one out would show nothing."""
    chain.outlying_output("b")
    desk.lay(chain)
    assert desk.build("--max-dice-drop", "0.001")[0] == 0
    assert in_float(desk.passport.precision_plan or PrecisionPlan(default="int8")) == {"b", "c"}
    assert desk.masks_are_right(desk.data / "validation")


def test_int8_that_holds_stays_whole(chain: Chain, desk: Desk) -> None:
    desk.lay(chain)
    code, document = desk.build("--max-lost-polyps", "0")
    assert (code, document["build"]["search"]["runs"], document["int8_convolutions"]) == (0, 1, len(CHAIN))
    assert "no convolution went back" in desk.said


def test_the_plan_is_written_and_builds_the_same_engine(chain: Chain, desk: Desk) -> None:
    chain.spread_weights("d")
    desk.lay(chain)
    plan = desk.folder / "plan.toml"
    assert desk.build("--max-dice-drop", "0.001", "--write-plan", plan)[0] == 0
    assert in_float(read_plan(plan)) == {"d"}
    first = desk.engine.read_bytes()
    words = ("--precision-plan", plan, "--calibration", desk.table, "--backend", "onnxruntime", "--out", desk.engine)
    assert desk.type("build-engine", desk.model, *words)[0] == 0
    assert desk.engine.read_bytes() == first


def test_a_rebuild_needs_no_search(chain: Chain, desk: Desk, tmp_path: Path) -> None:
    chain.spread_weights("b")
    desk.lay(chain)
    desk.data = shutil.copytree(desk.data, tmp_path / "moved")
    assert desk.build("--max-dice-drop", "0.001")[0] == 0
    former = desk.passport
    shutil.rmtree(desk.data)
    code, document = desk.type("build-engine", "--from-passport", f"{desk.engine}.json")
    assert (code, document["identical"]) == (0, True)
    assert former.build is not None and desk.passport.build == former.build
    assert former.build.search is not None and "searching" not in desk.said
    assert run(["inspect", str(desk.engine)]) == 0
    assert "1 of 5 convolutions went back" in " ".join(desk.capsys.readouterr().out.split())


@pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="TensorRT-RTX is not installed")
def test_a_gpu_is_stood_in_for_and_that_is_said(chain: Chain, desk: Desk) -> None:
    chain.spread_weights("c")
    desk.lay(chain)
    code, document = desk.build("--max-dice-drop", "0.001", backend="tensorrt-rtx")
    assert code == 0
    assert "not on tensorrt-rtx, but on a stand-in: ONNX Runtime on this CPU" in desk.said
    search = document["build"]["search"]
    assert (search["stand_in"], search["sent_back_to"], search["cost"]["mixed_ms"]) == (True, "fp16", None)
    # The chain's 1x1 convolutions: 6 of 28 multiply-adds a pixel are the first's, 2 the last's, 4 each the others'.
    assert search["cost"]["int8_multiply_adds"] == pytest.approx(20 / 28)
    assert search["cost"]["mixed_multiply_adds"] == pytest.approx(16 / 28)
    assert document["precision_plan"]["layers"] == {"first": "fp16", "last": "fp16", "c": "fp16"}


def test_exit_3_with_the_best_where_no_mix_holds(chain: Chain, desk: Desk) -> None:
    desk.lay(chain)
    code, _ = desk.build("--max-dice-drop", "-0.1")
    assert code == 3
    assert "falls short of the demanded gain of 0.1000" in desk.said
    assert "--precision fp32 --backend onnxruntime" in desk.said
    assert not desk.engine.exists()


def test_a_network_without_int8_is_refused(tiny_onnx: Path, bright_squares: Path, desk: Desk) -> None:
    desk.model = tiny_onnx
    assert onnx.load(tiny_onnx).graph.node  # one convolution, which is the first and the last
    code, _ = desk.build("--max-dice-drop", "0.1")
    assert code == 5
    assert "no convolution of this network runs in INT8" in desk.said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-dice-drop", "0.1"], "a limit without --data"),
        (["--data", "somewhere"], "--data without a limit"),
        (["--max-dice-drop", "0.1", "--data", "d", "--precision", "fp16"], "leave out --precision"),
        (["--max-dice-drop", "0.1", "--data", "d", "--precision-plan", "p.toml"], "leave out --max-dice-drop, --data"),
        (["--max-lost-polyps", "-1", "--data", "d"], "greater than or equal to 0"),
    ],
)
def test_flags_that_do_not_go_together(desk: Desk, words: list[str], said: str) -> None:
    assert desk.type("build-engine", desk.model, *words)[0] == 2
    assert said in desk.said.replace("│ ", "")


def test_a_limit_is_a_number(chain: Chain, desk: Desk) -> None:
    desk.lay(chain)
    assert desk.build("--max-dice-drop", "nan")[0] == 2
