from pathlib import Path

import pytest

from edgeseg.errors import BadInputError
from edgeseg.packages import find_model, model_folders, onnx_of, package_folders

TREE = Path(__file__).resolve().parents[2]


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


def test_a_passport_makes_an_engine_of_any_name_but_an_onnx_file(tmp_path: Path) -> None:
    for name, kind in (("plan", "engine"), ("net.trt", "engine"), ("net.onnx", "onnx")):
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / f"{name}.json").write_text("{}")  # others describe NAME.onnx in a NAME.onnx.json of their own
        assert find_model(tmp_path / name).kind == kind


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


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder whose `models` holds the package mine."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "model.onnx").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_package_has_a_bare_name(packages: Path) -> None:
    assert find_model(Path("mine")).onnx == Path("models/mine/model.onnx")
    assert find_model(Path("kvasir-best")).path == TREE / "models" / "kvasir-best"
    assert model_folders() == [Path("models"), TREE / "models"]


def test_what_lies_here_comes_before_a_package_of_that_name(packages: Path) -> None:
    (packages / "mine").mkdir()
    (packages / "mine" / "recipe.toml").write_text("")
    assert find_model(Path("mine")).kind == "run"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("mien", "did you mean mine?"),
        ("models/mien", "did you mean models/mine?"),
        ("kvasir-bset", "did you mean kvasir-best?"),
        ("quite-different", "edgeseg models"),
    ],
)
def test_a_name_that_is_none_gets_the_nearest(packages: Path, name: str, advice: str) -> None:
    with pytest.raises(BadInputError, match="no model at") as caught:
        find_model(Path(name))
    assert advice in str(caught.value.next_command)


def test_a_half_written_package_is_not_listed(packages: Path) -> None:
    (packages / "models" / ".mine-half").mkdir()
    (packages / "models" / ".mine-half" / "model.onnx").write_text("")
    assert package_folders(packages / "models") == [packages / "models" / "mine"]


def test_a_distribution_brings_packages_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel lays down a folder and an entry point that names it; nothing of it is imported."""
    folder = tmp_path / "site" / "brought_models"
    (folder / "brought").mkdir(parents=True)
    (folder / "brought" / "model.onnx").write_text("")
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    described = tmp_path / "site" / "brought_models-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: brought-models\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[edgeseg.models]\nshipped = brought_models\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert find_model(Path("brought")).path == folder / "brought"
    assert model_folders()[-1] == folder


def test_where_no_package_is_the_install_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.packages.model_folders", lambda: [])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError) as caught:
        find_model(Path("kvasir-small"))
    assert str(caught.value.next_command).startswith("pip install edgeseg-models")
