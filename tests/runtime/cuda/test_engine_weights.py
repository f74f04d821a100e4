"""Where the weights of an engine without weights are found, and that no others are taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import BuildRecord, CalibrationTable, EngineArtifact, PrecisionPlan
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.strongly_typed import strongly_typed
from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.graph.files import OnnxArtifact, load_onnx
from edgeseg.graph.weights import constants_sha256
from edgeseg.images import list_images
from edgeseg.runtime.cuda.engine_weights import EngineWeights, engine_weights
from edgeseg.runtime.opener.loading import open_engine
from edgeseg.runtime.passport.passports import passport_path

INT8 = PrecisionPlan(default="int8", layers={"stem": "fp16", "head": "fp16"})
FP16 = PrecisionPlan(default="fp16")
Stripped = Callable[..., tuple[Path, EngineArtifact]]


@pytest.fixture
def stripped(small_artifact: OnnxArtifact, tmp_path: Path) -> Stripped:
    """An engine's place, in a folder of its own, and the passport that it would have."""

    def make(
        table: CalibrationTable | None = None, plan: PrecisionPlan = FP16, **changes: Any
    ) -> tuple[Path, EngineArtifact]:
        passport = EngineArtifact(
            engine_sha256="0" * 64,
            engine_bytes=0,
            backend="tensorrt",
            backend_version="10.3.0",
            precision="fp16" if table is None else "int8",
            convolutions=5,
            int8_convolutions=0,
            onnx_sha256=small_artifact.sha256,
            weights_sha256=small_artifact.weights_sha256,
            calibration_sha256=None if table is None else table.sha256,
            precision_plan=plan,
            inputs=(),
            outputs=(),
            model=small_artifact.metadata.model,
            preprocess=small_artifact.metadata.preprocess,
            build_flags={"strip": True},
            rebuild="edgeseg build-engine small.onnx --strip-weights",
            build=BuildRecord(model="somewhere/else.onnx"),
            refit_sha256=constants_sha256(strongly_typed(small_artifact, table, plan).proto),
        )
        engine = tmp_path / "box" / "small.engine"
        engine.parent.mkdir()
        return engine, passport.model_copy(update=changes)

    return make


@pytest.fixture
def table(small_artifact: OnnxArtifact, small_images: Path) -> CalibrationTable:
    return calibrate(small_artifact, list_images(small_images))


def other_network(path: Path, source: Path) -> Path:
    """The same graph with one weight changed by a little."""
    proto = load_onnx(source).proto
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "down.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += np.float32(0.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    path.write_bytes(proto.SerializeToString())
    return path


def found(engine: Path, passport: EngineArtifact, named: Path | None = None) -> EngineWeights:
    weights = engine_weights(engine, passport, named)
    assert weights is not None
    return weights


def constants(weights: EngineWeights) -> dict[str, Any]:
    proto = onnx.load_model_from_string(weights.onnx)
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def test_the_network_lies_beside_the_engine(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped()
    other_network(engine.with_name("a.onnx"), small_onnx)
    shutil.copy(small_onnx, engine.with_name("b.onnx"))
    weights = found(engine, passport)
    assert weights.origin == engine.with_name("b.onnx")
    assert weights.made_in_ms > 0
    source = {t.name: onnx.numpy_helper.to_array(t) for t in load_onnx(small_onnx).proto.graph.initializer}
    np.testing.assert_array_equal(
        constants(weights)["down.weight.half"], source["down.weight"].astype(np.float16), strict=True
    )


def test_the_network_is_a_package_beside_the_engine(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped()
    package = engine.parent / "small-package"
    package.mkdir()
    shutil.copy(small_onnx, package / "model.onnx")
    assert found(engine, passport).origin == package


def test_the_network_lies_where_the_passport_says(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped(build=BuildRecord(model=str(small_onnx)))
    assert found(engine, passport).origin == small_onnx


def test_the_network_is_named(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped()
    assert found(engine, passport, small_onnx).origin == small_onnx


def test_a_named_network_of_other_weights_is_refused_though_the_right_one_lies_there(
    stripped: Stripped, small_onnx: Path, tmp_path: Path
) -> None:
    engine, passport = stripped(build=BuildRecord(model=str(small_onnx)))
    shutil.copy(small_onnx, engine.with_name("small.onnx"))
    wrong = other_network(tmp_path / "wrong.onnx", small_onnx)
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport, wrong)
    assert load_onnx(wrong).sha256[:12] in str(caught.value.found)
    assert passport.onnx_sha256 in str(caught.value.expected)
    assert "--weights" in str(caught.value.next_command)


def test_nothing_is_there(stripped: Stripped) -> None:
    engine, passport = stripped()
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport)
    assert caught.value.found == f"no network in {engine.parent}"
    assert "somewhere/else.onnx" in str(caught.value.expected)
    assert passport.rebuild in str(caught.value.next_command)


def test_many_others_are_named_as_a_few(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped()
    for name in "abcdef":
        other_network(engine.with_name(f"{name}.onnx"), small_onnx)
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport)
    assert str(caught.value.found).count("sha256") == 4
    assert str(caught.value.found).endswith("and 2 more")


def test_a_run_holds_no_weights_for_an_engine(stripped: Stripped, tmp_path: Path) -> None:
    engine, passport = stripped()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").touch()
    with pytest.raises(BadInputError):
        engine_weights(engine, passport, tmp_path / "run")


@pytest.mark.parametrize("place", ["package", "recorded", "beside the engine"])
def test_the_scales_of_int8_come_from_the_passports_table(
    place: str, stripped: Stripped, table: CalibrationTable, small_artifact: OnnxArtifact
) -> None:
    engine, passport = stripped(table, INT8)
    network = small_artifact.path
    other = table.model_copy(update={"image_count": 99})
    kept = {
        "package": network.with_suffix(".calibration.json"),
        "recorded": network.with_name("kept.json"),
        "beside the engine": engine.with_name("any.calibration.json"),
    }[place]
    other.write(network.with_suffix(".calibration.json"))
    engine.with_name("a.calibration.json").write_text("no table")
    table.write(kept)
    if place == "recorded":
        record = BuildRecord(model="gone", calibration=str(kept))
        passport = passport.model_copy(update={"build": record})
    values = constants(found(engine, passport, network))
    assert values["pooled.scale.half"] == np.float16(table.ranges["pooled"].amax / 127)
    assert values["down.weight.quantised"].dtype == np.int8


def test_int8_without_its_table(stripped: Stripped, table: CalibrationTable, small_onnx: Path) -> None:
    engine, passport = stripped(table, INT8)
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport, small_onnx)
    assert "no table" in str(caught.value.found)
    table.model_copy(update={"image_count": 99}).write(small_onnx.with_suffix(".calibration.json"))
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport, small_onnx)
    assert "sha256" in str(caught.value.found) and str(table.sha256) in str(caught.value.expected)


def test_constants_that_are_made_otherwise_are_not_handed_over(stripped: Stripped, small_onnx: Path) -> None:
    """As by an edgeseg that rounds or names otherwise: the network is the right one, its constants are not."""
    engine, passport = stripped(refit_sha256="1" * 64)
    with pytest.raises(MismatchError) as caught:
        engine_weights(engine, passport, small_onnx)
    assert "1" * 64 in str(caught.value.expected)
    assert caught.value.next_command == passport.rebuild


def test_int8_in_the_plan_and_no_table_in_the_passport(
    stripped: Stripped, table: CalibrationTable, small_onnx: Path
) -> None:
    engine, passport = stripped(table, INT8, calibration_sha256=None)
    with pytest.raises(BadInputError, match="INT8"):
        engine_weights(engine, passport, small_onnx)


def test_a_passport_of_before_is_refused(stripped: Stripped, small_onnx: Path) -> None:
    engine, passport = stripped(refit_sha256=None)
    with pytest.raises(MismatchError, match="does not say which"):
        engine_weights(engine, passport, small_onnx)


def test_weights_for_what_holds_its_own_are_refused(stripped: Stripped, tiny_engine: Path, small_onnx: Path) -> None:
    engine, passport = stripped(build_flags={})
    assert engine_weights(engine, passport) is None
    with pytest.raises(UsageError):
        engine_weights(engine, passport, small_onnx)
    assert EngineArtifact.read(passport_path(tiny_engine)).stripped is False
    with pytest.raises(UsageError):
        open_engine(tiny_engine, weights=small_onnx)
