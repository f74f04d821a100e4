"""Weights that lie in files beside an ONNX file, as PyTorch writes them: read them in, and from nowhere else."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import external_tensors
from edgeseg.graph.weights import copy_of
from edgeseg.plain_files import read_plain

LARGEST_BYTES = 2**31 - 2**20
"""A file of weights inside one ONNX message ends at 2 GB."""
BITS: dict[int, int] = {onnx.TensorProto.INT4: 4, onnx.TensorProto.UINT4: 4}


@dataclass
class BesideFiles:
    """The files that lie beside one ONNX file, each opened once.

    Args:
        folder: Where the ONNX file lies.
        origin: The ONNX file, for messages.
    """

    folder: Path
    origin: str
    _contents: dict[str, bytes] = field(default_factory=dict)

    def read(self, tensor: onnx.TensorProto) -> bytes:
        """The bytes of one tensor.

        Raises:
            BadInputError: A place outside the folder, a file that is not there, or a length that does not fit.
        """
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if not all(isinstance(text, str) for text in entries.values()):  # protobuf gives bytes for what is no UTF-8
            raise self._refused(f"the place of the weights of {tensor.name} is no text", repr(entries)[:80], "UTF-8")
        content = self._content(entries.get("location", ""), tensor)
        offset, wanted = self._number(entries.get("offset", "0"), tensor), self._size(tensor)
        length = self._number(entries.get("length", str(wanted)), tensor)
        if length != wanted or offset + length > len(content):
            raise self._refused(
                f"the weights of {tensor.name} do not fit the file that holds them",
                f"{length} bytes at {offset} of {len(content)}",
                f"{wanted} bytes for {list(tensor.dims)}",
            )
        return content[offset : offset + length]

    def sha256(self) -> str:
        """Names the content of every file that was read."""
        digest = hashlib.sha256()
        for _, content in sorted(self._contents.items()):
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    def _content(self, location: str, tensor: onnx.TensorProto) -> bytes:
        if location not in self._contents:
            path = self._path(location, tensor)
            try:
                self._contents[location] = read_plain(path, LARGEST_BYTES)
            except OSError as error:
                raise self._refused(
                    f"the file with its weights cannot be read: {location}",
                    error.strerror or str(error),
                    f"{location} in the folder of {self.origin}",
                ) from error
        return self._contents[location]

    def _path(self, location: str, tensor: onnx.TensorProto) -> Path:
        parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
        absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor != ""
        try:
            path = (self.folder / location).resolve()
            inside = path.is_relative_to(self.folder.resolve()) and ".." not in parts
        except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no file can have
            inside = False
        if absolute or not location or not inside:
            raise self._refused(
                f"the weights of {tensor.name} lie outside its folder", repr(location), f"a file inside {self.folder}"
            )
        return path

    def _number(self, text: str, tensor: onnx.TensorProto) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise self._refused(f"the place of the weights of {tensor.name} is no number", repr(text[:40]), "bytes")
        return int(text)

    def _size(self, tensor: onnx.TensorProto) -> int:
        """The bytes that a tensor of this type and shape takes."""
        try:
            whole: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        except (KeyError, ValueError, TypeError) as error:
            raise self._refused(f"the weights of {tensor.name} are of no known type", str(error), "numbers") from error
        if tensor.data_type == onnx.TensorProto.STRING or any(dim < 0 for dim in tensor.dims):
            raise self._refused(f"{tensor.name} holds no weights", f"{list(tensor.dims)}", "numbers")
        bits: int = math.prod(tensor.dims) * BITS.get(tensor.data_type, 8 * whole)
        return -(-bits // 8)

    def _refused(self, what: str, found: str, expected: str) -> BadInputError:
        return BadInputError(
            f"{self.origin} keeps weights in other files, and {what}",
            found=found,
            expected=expected,
            next_command="torch.onnx.export(..., external_data=False) writes one file; or put the data file beside it",
        )


def with_data_inside(proto: onnx.ModelProto, path: Path) -> tuple[onnx.ModelProto, str | None]:
    """A copy of a graph with the weights that lie in the folder of its file; a hash of what was read there.

    Args:
        proto: Parsed from `path`, not checked yet.
        path: The ONNX file.

    Returns:
        The graph, self-contained, and None where it was so before.

    Raises:
        BadInputError: A file outside the folder (an absolute path, ``..``, a link that leads out), one that cannot be
            read, a place or length that does not fit, or 2 GB and more.
    """
    copy = copy_of(proto)
    tensors, files, total = external_tensors(copy), BesideFiles(path.parent, str(path)), 0
    for tensor in tensors:
        tensor.raw_data = files.read(tensor)
        total += len(tensor.raw_data)
        if total > LARGEST_BYTES:
            raise BadInputError(f"{path} holds more weights than one ONNX file can", expected="less than 2 GB")
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return copy, files.sha256() if tensors else None
