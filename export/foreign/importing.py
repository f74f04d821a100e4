"""Somebody else's float network -> ONNX contract graph, compared with the file as it came before it is written."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

import edgeseg
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.export.foreign.foreign_fp16 import fp16_warnings
from edgeseg.export.foreign.foreign_graph import PreparedNetwork, prepare
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.foreign_output import OutputForm, check_meaning, output_form
from edgeseg.export.foreign.foreign_reference import BareNetwork
from edgeseg.export.foreign.foreign_wrap import wrapped
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE, check_parity
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.files import check_writable, sha256_bytes, write_bytes
from edgeseg.graph.external_data import with_data_inside
from edgeseg.graph.float32 import DOUBLE, with_float32_data
from edgeseg.graph.onnx_files import parse_onnx, parsed_unchecked, read_onnx_bytes, serialize, with_metadata
from edgeseg.runtime.engine.failures import InferenceFailedError
from edgeseg.runtime.engine.session import FrameBatch, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import ModelMetadata, ModelSpec, Provenance

MAX_DIFFERENCE_FROM_FP16 = 5e-3
"""Between a network that rounds every result to FP16 and the same weights in float32."""
NOISE_BLOCK_PX = 8
TOGETHER = 3
"""Pictures that are run at once and one by one."""


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
        source: ONNX, opset 11 to 24, its weights inside or in its own folder: one picture [N,3,H,W] or [N,H,W,3] in,
            logits or probabilities out, whose height and width are whole fractions of the picture's.
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
    proto, data_sha256 = with_data_inside(parsed_unchecked(content, origin), source)
    network, options = prepare(parse_onnx(serialize(proto), origin), origin, options)
    bare = _as_it_came(network, options)
    form = output_form(bare.probe(network.shape.height, network.shape.width), network, origin)
    bare = bare.formed(form)
    model = options.model_spec(form.channels, network.shape.height, network.shape.width)
    real = parity_inputs(data, model) if data is not None else []
    inputs = [*real, *_noise(model)]
    warnings = check_meaning([bare.raw(frames) for frames in inputs], options, origin)
    info = SessionInfo(model, options.preprocess, "onnxruntime", "fp32", sha256_bytes(content))
    wrap = _Wrapping(network, info, options, form)
    limit = MAX_DIFFERENCE_FROM_FP16 if network.half else MAX_PROBABILITY_DIFFERENCE
    proto, session = wrap.first_that_works()
    difference = check_parity(bare, session, inputs, out, of=f"{source.name} itself", limit=limit)
    metrics = {"max_probability_difference": difference, "parity_inputs": float(len(real))}
    provenance = Provenance(
        source_sha256=sha256_bytes(content), source_data_sha256=data_sha256, metrics=metrics, tools=_tools()
    )
    metadata = ModelMetadata(model=session.info.model, preprocess=options.preprocess, provenance=provenance)
    write_bytes(out, serialize(with_metadata(proto, metadata)))
    told = (*network.changes, *_batch_told(session.info.model), *_upsampling(network, form, options))
    return ImportResult(metadata, told, (*warnings, *fp16_warnings(proto, origin)))


def _as_it_came(network: PreparedNetwork, options: ImportOptions) -> BareNetwork:
    """The file's own graph; in float32 where it is double and ONNX Runtime has no kernels for that.

    Raises:
        BadInputError: ONNX Runtime refuses the graph.
    """
    try:
        return BareNetwork(serialize(network.source), network.shape, network.output, options)
    except BadInputError:
        if network.shape.dtype != "float64":
            raise
        source, shape = with_float32_data(network.source, DOUBLE), replace(network.shape, dtype="float32")
        return BareNetwork(serialize(source), shape, network.output, options)


@dataclass(frozen=True)
class _Wrapping:
    """Puts the contract around the forms of a network until one of them works."""

    network: PreparedNetwork
    info: SessionInfo
    options: ImportOptions
    form: OutputForm

    def first_that_works(self) -> tuple[onnx.ModelProto, OnnxRuntimeSession]:
        """The form that takes the most pictures at once, and a session of it.

        Raises:
            BadInputError: None works; the network was traced for one batch size, deeper than can be undone.
        """
        reason = "no form of it was found"
        for proto, any_batch in self.network.graphs():
            try:
                wrapped_proto, session = self._wrapped(proto, any_batch)
            except BadInputError:
                if not any_batch:
                    raise
                continue
            reason = _batch_problem(session) or ""
            if not reason:
                return wrapped_proto, session
        raise BadInputError(
            f"{self.network.origin} works with one batch size only",
            found=f"pictures one by one and several at once: {reason}",
            expected="a network that takes one picture, or any number of them",
            next_command="export it again with a batch of 1, or a dynamic one",
        )

    def _wrapped(self, proto: onnx.ModelProto, any_batch: bool) -> tuple[onnx.ModelProto, OnnxRuntimeSession]:
        model = self.info.model.model_copy(update={} if any_batch else {"largest_batch": 1})
        whole = _checked(wrapped(proto, model, self.options, self.form), self.network.origin)
        return whole, OnnxRuntimeSession(serialize(whole), replace(self.info, model=model), silent=True)


def _batch_problem(session: OnnxRuntimeSession) -> str | None:
    """Why pictures at once do not give what each gives alone; None where they do, or where one is taken at a time."""
    frames = np.concatenate(_noise(session.info.model))[:TOGETHER]
    try:
        alone = np.concatenate([session.infer(frame[np.newaxis]) for frame in frames])
        if session.info.model.largest_batch == 1:
            return None
        together = session.infer(frames)
    except (InferenceFailedError, MismatchError) as error:
        return " ".join(str(error.found).split())[:200]
    same = together.shape == alone.shape
    same = same and np.allclose(together, alone, atol=MAX_PROBABILITY_DIFFERENCE, rtol=0, equal_nan=True)
    return None if same else "another result"


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


def _batch_told(model: ModelSpec) -> Sequence[str]:
    if model.largest_batch is None:
        return ()
    return ("the network takes one picture at a time: its graph breaks with more, and so engines have a batch of 1",)


def _upsampling(network: PreparedNetwork, form: OutputForm, options: ImportOptions) -> Sequence[str]:
    if form.times == (1, 1):
        return ()
    height, width = network.shape.height // form.times[0], network.shape.width // form.times[1]
    return (f"{options.output} of {width}x{height} upsampled {form.times[1]}x{form.times[0]} times, bilinearly",)
