"""Somebody else's float network -> ONNX contract graph, held against the file as it came before it is written."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import edgeseg
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.export.foreign.foreign_graph import PreparedNetwork, prepare
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.foreign_output import check_meaning, output_size
from edgeseg.export.foreign.foreign_reference import BareNetwork
from edgeseg.export.foreign.foreign_wrap import wrapped
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE, check_parity
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.files import check_writable, sha256_bytes, write_bytes
from edgeseg.graph.files import parse_onnx, read_onnx_bytes, serialize, with_metadata
from edgeseg.runtime.engine.session import FrameBatch, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import ModelMetadata, ModelSpec, Provenance

MAX_DIFFERENCE_FROM_FP16 = 5e-3
"""Between a network that rounds every result to FP16 and the same weights in float32."""
NOISE_BLOCK_PX = 8


@dataclass(frozen=True)
class ImportResult:
    """The file that was written, and what the user should know of it."""

    metadata: ModelMetadata
    changes: tuple[str, ...]
    """The changes made to the network, a phrase each."""
    warnings: tuple[str, ...]


def import_onnx(source: Path, out: Path, options: ImportOptions, data: Path | None = None) -> ImportResult:
    """Wrap a foreign network into the contract graph.

    Args:
        source: ONNX, opset 11 to 21: one float32 or FP16 input [N,3,H,W], logits or probabilities [N,C,h,w] out, h and
            w whole fractions of H and W.
        out: The .onnx file to write.
        options: How the network wants its pictures and what it gives.
        data: Images for the check against the file as it came; noise is checked besides.

    Returns:
        The metadata inside the file, with the parity that was measured, and what was changed.

    Raises:
        BadInputError: A network that does not fit; the message says what it is and what was expected.
        ToleranceError: The graph differs from the foreign network; the worst input is saved beside `out`.
        UsageError: Options that contradict the network.
    """
    check_writable(out, source)
    content, origin = read_onnx_bytes(source), str(source)
    network = prepare(parse_onnx(content, origin), origin, options)
    bare = BareNetwork(content, network.shape, network.output, options)
    height, width = network.shape.height, network.shape.width
    channels, times = output_size(bare.probe(height, width), network, origin)
    model = options.model_spec(channels, height, width)
    proto = _checked(wrapped(network.proto, model, options, times), origin)
    session = OnnxRuntimeSession(
        serialize(proto), SessionInfo(model, options.preprocess, "onnxruntime", "fp32", sha256_bytes(content))
    )
    real = parity_inputs(data, model) if data is not None else []
    inputs = [*real, *_noise(model)]
    warnings = check_meaning([bare.raw(frames) for frames in inputs], options, origin)
    _check_batches(session, origin)
    limit = MAX_DIFFERENCE_FROM_FP16 if network.half else MAX_PROBABILITY_DIFFERENCE
    difference = check_parity(bare, session, inputs, out, of=f"{source.name} itself", limit=limit)
    metrics = {"max_probability_difference": difference, "parity_inputs": float(len(real))}
    provenance = Provenance(source_sha256=sha256_bytes(content), metrics=metrics, tools=_tools())
    metadata = ModelMetadata(model=model, preprocess=options.preprocess, provenance=provenance)
    write_bytes(out, serialize(with_metadata(proto, metadata)))
    return ImportResult(metadata, (*network.changes, *_upsampling(network, times, options)), warnings)


def _checked(proto: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """Every name once, every type and shape as declared.

    Raises:
        BadInputError: Not so.
    """
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # the checker raises several unrelated classes
        raise BadInputError(
            f"edgeseg cannot put its input and output around {origin}", found=" ".join(str(error).split())[:300]
        ) from error
    return proto


def _check_batches(session: OnnxRuntimeSession, origin: str) -> None:
    """Two pictures at once must give what each gives alone.

    Raises:
        BadInputError: They do not; the network was traced for one batch size, deeper than can be undone.
    """
    frames = np.concatenate(_noise(session.info.model))[:2]
    alone = np.concatenate([session.infer(frame[np.newaxis]) for frame in frames])
    reason = "another result"
    try:
        together = session.infer(frames)
        if together.shape == alone.shape and np.allclose(together, alone, atol=MAX_PROBABILITY_DIFFERENCE, rtol=0):
            return
    except EdgesegError:
        raise
    except Exception as error:  # onnxruntime raises a dozen classes without a common base
        reason = " ".join(str(error).split())[:200]
    raise BadInputError(
        f"{origin} works on one batch size alone",
        found=f"two pictures at once: {reason}",
        expected="a network that takes any number of pictures",
        next_command="export it again with a dynamic batch",
    )


def _noise(model: ModelSpec) -> list[FrameBatch]:
    """Fine noise, and noise in blocks, that reaches deeper into a network; two pictures each."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (2, *model.input_shape), dtype=np.uint8)
    rows, columns = -(-model.height // NOISE_BLOCK_PX), -(-model.width // NOISE_BLOCK_PX)
    coarse = rng.integers(0, 256, (2, rows, columns, 3), dtype=np.uint8)
    blocks = coarse.repeat(NOISE_BLOCK_PX, axis=1).repeat(NOISE_BLOCK_PX, axis=2)
    return [fine, np.ascontiguousarray(blocks[:, : model.height, : model.width])]


def _tools() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime")}
    return {"edgeseg": edgeseg.__version__, **versions}


def _upsampling(network: PreparedNetwork, times: tuple[int, int], options: ImportOptions) -> Sequence[str]:
    if times == (1, 1):
        return ()
    height, width = network.shape.height // times[0], network.shape.width // times[1]
    return (f"{options.output} of {width}x{height} upsampled {times[1]}x{times[0]} times, bilinearly",)
