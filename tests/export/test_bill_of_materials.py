import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclonedx", reason="pip install 'edgeseg[train]'")
pytest.importorskip("jsonschema", reason="pip install 'cyclonedx-python-lib[json-validation]'")

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgeseg.export.package.bill_of_materials import bill_of_materials, installed_needs
from edgeseg.files import sha256_file
from edgeseg.specs import ModelMetadata
from tests.conftest import tiny_model_metadata


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of a package."""
    for name in ("model.onnx", "card.md"):
        (tmp_path / name).write_text(name)
    return [tmp_path / "model.onnx", tmp_path / "card.md"]


@pytest.fixture
def bill(files: list[Path]) -> dict[str, Any]:
    metadata: ModelMetadata = tiny_model_metadata()
    provenance = metadata.provenance.model_copy(update={"data_sha256": "d" * 64})
    text = bill_of_materials("tiny", metadata.model_copy(update={"provenance": provenance}), files)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def test_the_validator_sees_what_is_wrong() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str('{"bomFormat": "CycloneDX"}') is not None


def test_the_model_and_its_files(bill: dict[str, Any], files: list[Path]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    model = bill["metadata"]["component"]
    assert (model["name"], model["type"]) == ("tiny", "machine-learning-model")
    assert model["properties"] == [{"name": "edgeseg:training-data-sha256", "value": "d" * 64}]
    listed = {part["name"]: part["hashes"] for part in model["components"]}
    assert listed == {path.name: [{"alg": "SHA-256", "content": sha256_file(path)}] for path in files}
    assert model["hashes"] == listed["model.onnx"]


def test_every_component_is_installed_in_that_version(bill: dict[str, Any]) -> None:
    names = {component["name"] for component in bill["components"]}
    assert {"edgeseg", "numpy", "onnxruntime", "pydantic-core", "protobuf"} <= names  # the last two are needs of needs
    assert not {"torch", "pytest", "cyclonedx-python-lib"} & names
    for component in bill["components"]:
        assert component["version"] == importlib.metadata.version(component["name"])
    without = [component["name"] for component in bill["components"] if not component.get("licenses")]
    assert without == []


def test_who_needs_whom(bill: dict[str, Any]) -> None:
    needs = {entry["ref"].partition("@")[0]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert [ref.partition("@")[0] for ref in needs["model:tiny"]] == ["pypi:edgeseg"]
    assert any(ref.startswith("pypi:numpy@") for ref in needs["pypi:edgeseg"])
    assert needs["pypi:numpy"] == []


NEEDS = {
    "a": ["B[fast]>=1", "c; python_version < '3'", "missing", 'd; extra == "slow"'],
    "b": ['e ; extra == "fast"', 'f ; extra == "other"', "a"],
    "e": ["b"],
}


def distribution_of_the_test(name: str) -> None:
    if name not in ("a", "b", "c", "d", "e", "f"):
        raise importlib.metadata.PackageNotFoundError(name)


def test_extras_markers_and_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", NEEDS.get)
    monkeypatch.setattr(importlib.metadata, "distribution", distribution_of_the_test)
    assert installed_needs("A") == {"a": ["b"], "b": ["e", "a"], "e": ["b"]}
