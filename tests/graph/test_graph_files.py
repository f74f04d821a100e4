from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.graph.onnx_files import load_onnx, parse_onnx, serialize, with_metadata


def test_reads_back_what_metadata_says(small_onnx: Path) -> None:
    artifact = load_onnx(small_onnx)
    assert artifact.metadata.model.architecture == "small"
    assert artifact.metadata.model.input_shape == (16, 16, 3)
    assert len(artifact.sha256) == len(artifact.weights_sha256) == 64


@given(st.binary(max_size=300))
def test_junk_is_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(BadInputError):
        parse_onnx(data, "junk")


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_cut_file_is_refused(small_onnx: Path, keep: float) -> None:
    data = small_onnx.read_bytes()
    small_onnx.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BadInputError):
        load_onnx(small_onnx)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.onnx"):
        load_onnx(tmp_path / "nowhere.onnx")


def test_a_graph_without_metadata_is_refused_with_the_command_that_helps(small_onnx: Path) -> None:
    proto = onnx.load(small_onnx)
    del proto.metadata_props[:]
    small_onnx.write_bytes(proto.SerializeToString())
    with pytest.raises(BadInputError) as caught:
        load_onnx(small_onnx)
    assert caught.value.next_command == "edgeseg import-onnx FILE --out model.onnx"


def test_metadata_of_another_size_is_a_mismatch(small_onnx: Path) -> None:
    artifact = load_onnx(small_onnx)
    larger = artifact.metadata.model.model_copy(update={"height": 64})
    changed = with_metadata(artifact.proto, artifact.metadata.model_copy(update={"model": larger}))
    small_onnx.write_bytes(serialize(changed))
    with pytest.raises(MismatchError) as caught:
        load_onnx(small_onnx)
    assert "frame: uint8 [N,16,16,3]" in (caught.value.found or "")
    assert "frame: uint8 [N,64,16,3]" in (caught.value.expected or "")


def test_weights_in_other_files_are_refused(tmp_path: Path, small_onnx: Path) -> None:
    proto = onnx.load(small_onnx)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"x" * 4096)
    onnx.external_data_helper.set_external_data(proto.graph.initializer[3], location="../secret.bin")
    proto.graph.initializer[3].ClearField("raw_data")
    with pytest.raises(BadInputError):
        parse_onnx(proto.SerializeToString(), "external")


def test_writing_metadata_twice_keeps_one(small_onnx: Path) -> None:
    artifact = load_onnx(small_onnx)
    twice = with_metadata(with_metadata(artifact.proto, artifact.metadata), artifact.metadata)
    assert [entry.key for entry in twice.metadata_props] == ["edgeseg"]


def test_a_graph_with_another_input_is_a_mismatch(small_onnx: Path) -> None:
    proto = onnx.load(small_onnx)
    proto.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))
    small_onnx.write_bytes(proto.SerializeToString())
    with pytest.raises(MismatchError, match="not the network"):
        load_onnx(small_onnx)
