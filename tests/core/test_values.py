import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.errors import BadInputError
from edgeseg.specs import Crop, ModelMetadata, ModelSpec, PreprocessSpec, Provenance

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
specs = st.builds(
    ModelSpec,
    architecture=names,
    classes=names.map(lambda name: (name,)),
    height=st.integers(1, 8192),
    width=st.integers(1, 8192),
)


@given(specs, st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_every_value_survives_json(model: ModelSpec, metrics: dict[str, float]) -> None:
    metadata = ModelMetadata(
        model=model,
        preprocess=PreprocessSpec(crop=Crop(top=1, left=2, height=3, width=4)),
        provenance=Provenance(metrics=metrics),
    )
    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_values_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ModelSpec(architecture="unet", height=1, width=1).height = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"architecture": "unet"}',
        '{"architecture": "unet", "height": 0, "width": 8}',
        '{"architecture": "unet", "height": 8, "width": 8, "colour": 1}',
        '{"architecture": "unet", "height": 8, "width": 8, "schema_version": 2}',
        '{"architecture": "unet", "height": 8, "width": 8, "classes": ["a", "b"]}',
        '{"architecture": "unet", "height": 8, "width": 8, "output": "softmax"}',
    ],
)
def test_what_does_not_fit_is_bad_input(text: str) -> None:
    with pytest.raises(BadInputError, match=r"spec\.json is not a valid ModelSpec"):
        ModelSpec.from_json(text, "spec.json")


def test_a_newer_schema_names_both_versions() -> None:
    with pytest.raises(BadInputError) as caught:
        ModelSpec.from_json('{"schema_version": 9, "architecture": "u", "height": 8, "width": 8}')
    assert "schema version 9" in (caught.value.found or "")
    assert "version 1" in (caught.value.expected or "")


def test_a_table_needs_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        CalibrationTable(
            method="max",
            image_count=0,
            data_sha256="",
            weights_sha256="",
            ranges={"x": Range(minimum=0, maximum=1, amax=1)},
        )
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError):
        CalibrationTable.read(tmp_path / "binary.json")


def test_an_unknown_field_that_is_null_is_passed_over_and_any_other_is_refused() -> None:
    table = CalibrationTable(method="max", image_count=1, data_sha256="a", weights_sha256="b", ranges={})
    document = json.loads(table.to_json())
    assert CalibrationTable.from_json(json.dumps(document | {"gone": None})) == table
    with pytest.raises(BadInputError, match="CalibrationTable"):
        CalibrationTable.from_json(json.dumps(document | {"gone": 0}))
