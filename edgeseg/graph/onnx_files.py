"""Load and save ONNX files that may come from strangers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from edgeseg.archive_members import read_file
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_bytes
from edgeseg.graph.weights import copy_of, weights_sha256, with_float32_weights
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelMetadata

METADATA_KEY = "edgeseg"
IR_VERSION = 10
OPSETS = (19, 20)
MOST_BYTES = 2**31
"""A message of Protocol Buffers ends at 2 GB."""


@dataclass(frozen=True)
class OnnxArtifact:
    """An ONNX file of ours: its bytes parsed, its hash, and what its metadata says."""

    path: Path
    sha256: str
    metadata: ModelMetadata
    proto: onnx.ModelProto
    """The graph with float32 weights, however the file stores them."""

    @property
    def weights_sha256(self) -> str:
        """Names the weights, whatever surrounds them."""
        return weights_sha256(self.proto)

    def __repr__(self) -> str:
        return f"OnnxArtifact({self.path.name}, {self.metadata.summary()}, sha256={self.sha256[:12]})"


def load_onnx(path: Path) -> OnnxArtifact:
    """Read a contract graph: uint8 `frame` [N,H,W,3] in, float32 `probability` [N,C,H,W] out, metadata inside.

    Raises:
        BadInputError: Missing, no ONNX, weights outside the file, or without our metadata.
        MismatchError: Its inputs and outputs are not what its metadata says.
    """
    data = read_onnx_bytes(path)
    proto = parse_onnx(data, str(path))
    metadata = read_metadata(proto, str(path))
    artifact = OnnxArtifact(path, sha256_bytes(data), metadata, with_float32_weights(proto))
    _check_contract(artifact)
    return artifact


def parse_onnx(data: bytes, origin: str) -> onnx.ModelProto:
    """Parse ONNX bytes; refuse junk and references to other files.

    Raises:
        BadInputError: See above.
    """
    proto = parsed_unchecked(data, origin)
    _refuse_external(proto, origin)
    try:
        onnx.checker.check_model(proto)
        for tensor in _all_tensors(proto):  # the checker does not look whether values and shape fit
            if tensor.data_type:
                onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # the checker too
        raise _invalid(error, origin) from error
    return proto


def refuse_external_data(data: bytes, origin: str) -> None:
    """Refuse junk and references to other files, as `parse_onnx` does, without ONNX's checker and its time.

    Raises:
        BadInputError: See above.
    """
    _refuse_external(parsed_unchecked(data, origin), origin)


def external_tensors(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The tensors whose values lie in other files."""
    return [tensor for tensor in _all_tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL]


def read_metadata(proto: onnx.ModelProto, origin: str) -> ModelMetadata:
    """Read the metadata that the file carries.

    Raises:
        BadInputError: No metadata of ours.
    """
    for entry in proto.metadata_props:
        if entry.key == METADATA_KEY:
            return ModelMetadata.from_json(entry.value, f"the metadata of {origin}")
    raise BadInputError(
        f"{origin} does not say what network it holds",
        found="no metadata key 'edgeseg'",
        expected="an ONNX file written by edgeseg",
        next_command="edgeseg import-onnx FILE --out model.onnx",
    )


def with_metadata(proto: onnx.ModelProto, metadata: ModelMetadata) -> onnx.ModelProto:
    """A copy that carries this metadata and no other of ours."""
    copy = copy_of(proto)
    kept = [entry for entry in copy.metadata_props if entry.key != METADATA_KEY]
    del copy.metadata_props[:]
    copy.metadata_props.extend(kept)
    copy.metadata_props.add(key=METADATA_KEY, value=metadata.to_json())
    return copy


def serialize(proto: onnx.ModelProto) -> bytes:
    """The same bytes for the same graph."""
    return bytes(proto.SerializeToString(deterministic=True))


def read_onnx_bytes(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        BadInputError: It cannot be read.
    """
    try:
        return read_file(path, MOST_BYTES)
    except OSError as error:
        raise BadInputError(
            f"cannot read the model {path}", found=error.strerror or error, expected="an ONNX file or a model package"
        ) from error


def parsed_unchecked(data: bytes, origin: str) -> onnx.ModelProto:
    """Parse ONNX bytes and check nothing; a file from outside goes through `parse_onnx`.

    Raises:
        BadInputError: Junk.
    """
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf raises several unrelated classes
        raise _invalid(error, origin) from error


def _refuse_external(proto: onnx.ModelProto, origin: str) -> None:
    external = external_tensors(proto)
    if external:
        raise BadInputError(
            f"{origin} keeps weights in other files",
            found=f"{len(external)} tensors with external data",
            expected="an ONNX file with its weights inside",
            next_command="edgeseg import-onnx FILE --out model.onnx, which takes weights that lie beside FILE",
        )


def _invalid(error: Exception, origin: str) -> BadInputError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return BadInputError(f"{origin} is no valid ONNX file", found=lines[0][:200])


def _all_tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a file, those inside attributes, subgraphs and local functions too."""
    graphs, nodes = [proto.graph], [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            yield from (part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices))
            nodes.extend(graph.node)
            continue
        for entry in nodes.pop().attribute:
            graphs.extend((entry.g, *entry.graphs))
            sparse_tensors = (entry.sparse_tensor, *entry.sparse_tensors)
            yield from (entry.t, *entry.tensors, *(p for s in sparse_tensors for p in (s.values, s.indices)))


def _check_contract(artifact: OnnxArtifact) -> None:
    model = artifact.metadata.model
    graph = artifact.proto.graph
    elem = onnx.TensorProto
    expected = {
        INPUT_NAME: (elem.UINT8, (model.height, model.width, 3)),
        OUTPUT_NAME: (elem.FLOAT, (model.channels, model.height, model.width)),
    }
    initialisers = {tensor.name for tensor in graph.initializer}
    values = [value for value in (*graph.input, *graph.output) if value.name not in initialisers]
    found = {
        value.name: (value.type.tensor_type.elem_type, tuple(d.dim_value for d in value.type.tensor_type.shape.dim[1:]))
        for value in values
    }
    if found != expected:
        raise MismatchError(
            f"{artifact.path} is not the network that its metadata describes",
            found=_describe(found),
            expected=_describe(expected),
            next_command="edgeseg export RUN --out model.onnx",
        )


def _describe(values: Mapping[str, tuple[int, tuple[int, ...]]]) -> str:
    names = onnx.TensorProto.DataType
    return ", ".join(
        f"{name}: {names.Name(kind).lower()} [N,{','.join(map(str, shape))}]" for name, (kind, shape) in values.items()
    )
