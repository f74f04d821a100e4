"""The network that is handed to a server: its file, and what its passport or its metadata say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, UsageError
from edgeseg.frames import THRESHOLD
from edgeseg.graph.onnx_files import load_onnx, read_onnx_bytes
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.shell import quoted
from edgeseg.specs import ModelMetadata

LARGEST_BATCH = 8
"""Frames that a server may put into one inference where the graph takes any number."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class TritonBackend:
    """How one of Triton's backends takes an engine."""

    file_name: str = "model.onnx"
    """The name of the file that it looks for."""
    batches: bool = True
    """True where it may put several frames into one inference."""
    of_one_gpu: bool = False
    """True where the file is native code for the GPU that it was built on."""
    settings: tuple[tuple[str, str], ...] = ()
    """Parameters of its own, and their values."""


_BACKENDS = {
    "onnxruntime": TritonBackend(),
    # It fixes the batch of what it loads to the largest, and computes in BF16 where the processor has it.
    "openvino": TritonBackend(batches=False, settings=(("ENFORCE_BF16", "NO"),)),
    "tensorrt": TritonBackend("model.plan", of_one_gpu=True),
}
"""Triton's backends that run engines of ours, by the name that both sides give them."""


@dataclass(frozen=True)
class ServedModel:
    """A network and everything that a server's configuration tells of it."""

    name: str
    backend: str
    """A backend of Triton: ``onnxruntime``, ``openvino`` or ``tensorrt``."""
    data: bytes
    """The file, byte for byte the engine or the ONNX file that was named."""
    metadata: ModelMetadata
    passport: EngineArtifact | None
    """None for an ONNX file or a package, which are served in float32."""
    facts: dict[str, str]
    """Precision, threshold, classes and hashes, for whoever asks the server."""

    @property
    def server(self) -> TritonBackend:
        """How the server's backend takes it."""
        return _BACKENDS[self.backend]

    @property
    def largest_batch(self) -> int:
        """Frames in one inference; 0 where the server must not batch."""
        if self.metadata.model.largest_batch == 1 or not self.server.batches:
            return 0
        return (
            LARGEST_BATCH
            if self.passport is None
            else int(self.passport.build_flags.get("batch", (LARGEST_BATCH,))[-1])
        )


def served_model(path: Path) -> ServedModel:
    """Read what shall be served.

    Args:
        path: An engine with its passport, an .onnx file or a model package; the latter two are served in float32.

    Raises:
        BadInputError: A RUN, a file that cannot be read, or an engine that no backend of Triton runs.
        MismatchError: An engine that its passport does not describe.
        UsageError: Its name is none that a server takes.
    """
    files = find_model(path)
    if _NAME.fullmatch(files.name) is None:
        raise UsageError(
            f"{files.name!r} is no name for a model on a server",
            expected="letters, digits, dots, hyphens and underscores",
            next_command="rename the file or folder",
        )
    if files.kind != "engine":
        source = onnx_of(files)
        artifact = load_onnx(source)
        facts = {"precision": "fp32", "onnx_sha256": artifact.sha256, "weights_sha256": artifact.weights_sha256}
        trained = {"threshold_as_trained": f"{artifact.metadata.provenance.threshold:g}"}
        facts = {**_facts(artifact.metadata), **trained, **facts}
        return ServedModel(files.name, "onnxruntime", read_onnx_bytes(source), artifact.metadata, None, facts)
    data, passport = read_checked(path)
    _check_backend(path, passport)
    metadata = ModelMetadata(model=passport.model, preprocess=passport.preprocess)
    return ServedModel(
        files.name, passport.backend, data, metadata, passport, {**_facts(metadata), **_facts_of_passport(passport)}
    )


def _check_backend(path: Path, passport: EngineArtifact) -> None:
    if passport.backend not in _BACKENDS:
        raise BadInputError(
            f"no backend of Triton runs {path}",
            found=f"an engine of {passport.backend}",
            expected=f"an engine of {', '.join(_BACKENDS)}, an .onnx file or a model package",
            next_command="edgeseg build-engine MODEL --backend onnxruntime",
        )
    smallest = passport.build_flags.get("batch", (1,))[0]
    if smallest != 1:
        raise BadInputError(
            f"{path} does not take one frame alone",
            found=f"a smallest batch of {smallest}",
            expected="an engine whose smallest batch is 1",
            next_command=f"edgeseg build-engine MODEL --backend {quoted(passport.backend)} --min-batch 1",
        )


def _facts(metadata: ModelMetadata) -> dict[str, str]:
    facts = {"classes": ", ".join(metadata.model.classes)}
    return facts if metadata.model.output == "softmax" else {**facts, "threshold": f"{THRESHOLD:g}"}


def _facts_of_passport(passport: EngineArtifact) -> dict[str, str]:
    found = {
        "precision": passport.precision,
        "built_with": f"{passport.backend} {passport.backend_version}",
        "engine_sha256": passport.engine_sha256,
        "onnx_sha256": passport.onnx_sha256,
        "weights_sha256": passport.weights_sha256,
        "calibration_sha256": passport.calibration_sha256,
        "precision_plan_sha256": passport.precision_plan_sha256,
        "gpu": passport.binding.gpu,
        "instruction_set": passport.binding.instruction_set,
    }
    return {key: value for key, value in found.items() if value is not None}
