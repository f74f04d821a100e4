from pathlib import Path

import pytest

from edgeseg.errors import BadInputError
from edgeseg.packages import find_model, onnx_of


def test_each_kind_is_told_apart(tmp_path: Path) -> None:
    for name in ("pkg/model.onnx", "pkg/model.calibration.json", "run/recipe.toml", "a.onnx", "b.int8.engine"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    package = find_model(tmp_path / "pkg")
    assert (package.kind, package.name, package.calibration) == (
        "package",
        "pkg",
        tmp_path / "pkg" / "model.calibration.json",
    )
    assert find_model(tmp_path / "run").kind == "run"
    assert find_model(tmp_path / "a.onnx").calibration is None
    assert find_model(tmp_path / "b.int8.engine").name == "b.int8"


def test_a_run_holds_no_graph_yet(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(BadInputError) as caught:
        onnx_of(find_model(tmp_path))
    assert caught.value.next_command == f"edgeseg export {tmp_path} --out model.onnx"


def test_nothing_and_strangers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no model at"):
        find_model(tmp_path / "none.onnx")
    with pytest.raises(BadInputError, match="neither a RUN folder nor a model package"):
        find_model(tmp_path)
