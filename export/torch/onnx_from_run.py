"""RUN folder -> ONNX contract graph, compared with PyTorch on real inputs before it is written."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import edgeseg
from edgeseg.export.parity import DECIDING, check_parity
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.files import check_writable, write_bytes
from edgeseg.graph.mirroring import with_mirroring
from edgeseg.graph.onnx_files import parse_onnx, serialize, with_metadata
from edgeseg.graph.threshold_shift import with_threshold
from edgeseg.optional import require
from edgeseg.proof.evaluation.shifted_engine import refuse_several_classes
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelMetadata, ModelSpec, PreprocessSpec, Provenance
from edgeseg.threshold import moved_probability, read_threshold
from edgeseg.train.architectures.own_code import own_code_named
from edgeseg.train.network_outputs import main_logits
from edgeseg.train.predictor import TorchSession, open_run
from edgeseg.train.qat.fake_quantised_network import trained_ranges_of
from edgeseg.train.record import RUN_RECORD, RunRecord

OPSET = 20
LARGEST_BATCH = 64


class ContractGraph(nn.Module):
    """The exported graph: uint8 frames in, probabilities out, normalisation and sigmoid or softmax inside.

    Args:
        network: Takes normalised float32 [N,3,H,W], gives logits [N,C,H,W]; auxiliary ones are left out.
        model: Decides the output function.
        preprocess: Mean and std of RGB in 0..1.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, network: nn.Module, model: ModelSpec, preprocess: PreprocessSpec) -> None:
        super().__init__()
        self.network = network
        self.output = model.output
        mean, std = (
            torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std)
        )
        self.register_buffer("offset", (mean * 255).float())
        self.register_buffer("factor", (1 / (std * 255)).float())

    def forward(self, frame: Tensor) -> Tensor:
        """Run the graph: uint8 [N,H,W,3] RGB -> float32 [N,C,H,W]."""
        logits = main_logits(self.network((frame.float().permute(0, 3, 1, 2) - self.offset) * self.factor))
        return torch.softmax(logits, dim=1) if self.output == "softmax" else torch.sigmoid(logits)


def export_run(
    run: Path,
    out: Path,
    frames: Sequence[FrameBatch] = (),
    threshold: str | None = None,
    *,
    trusted: Collection[str] = (),
) -> ModelMetadata:
    """Export the best checkpoint of a RUN.

    Args:
        run: The RUN folder.
        out: The .onnx file to write.
        frames: Real inputs at the network's size, uint8 [N,H,W,3], for the parity check; noise is checked besides.
        threshold: Becomes the graph's 0.5: a number, or the file of a choice for this RUN; None leaves it.
        trusted: Code that its network may be; see `edgeseg.train.predictor.open_run`.

    Returns:
        The metadata inside the file; its provenance holds the parity that was measured.

    Raises:
        ToleranceError: The graph differs from PyTorch; the worst input is saved beside `out`.
        MismatchError: The threshold was chosen for another model.
        UsageError: A threshold that is none, or a network of several classes, which has none.
    """
    check_writable(out)
    session = open_run(run, trusted)
    metadata, proto = onnx_from_session(session, RunRecord.read(run / RUN_RECORD), frames, out, threshold)
    trained = trained_ranges_of(run)
    if trained is not None:
        metadata = metadata.model_copy(update={"trained_ranges": trained})
        proto = with_metadata(proto, metadata)
    write_bytes(out, serialize(proto))
    return metadata


def onnx_from_session(
    session: TorchSession, record: RunRecord, frames: Sequence[FrameBatch], out: Path, threshold: str | None = None
) -> tuple[ModelMetadata, onnx.ModelProto]:
    """Export a loaded network, check parity, attach the metadata; see `export_run`."""
    info = session.info
    moved_to = 0.5 if threshold is None else read_threshold(threshold, info.sha256)
    if moved_to != 0.5:
        refuse_several_classes(info)
    proto = with_readable_names(contract_graph(session.network.network, info.model, info.preprocess))
    if moved_to != 0.5:
        proto = with_threshold(proto, moved_to)
    if session.network.mirroring:
        proto = with_mirroring(proto)
    onnx_session = OnnxRuntimeSession(
        serialize(proto), SessionInfo(info.model, info.preprocess, "onnxruntime", "fp32", "")
    )
    noise = np.random.default_rng(0).integers(0, 256, (2, *info.model.input_shape), dtype=np.uint8)
    decides = any(node.op_type in DECIDING for node in proto.graph.node)
    difference = check_parity(_Shifted(session, moved_to), onnx_session, [*frames, noise], out, decides=decides)
    provenance = Provenance(
        data_sha256=record.data_sha256,
        recipe_sha256=record.recipe_sha256,
        seed=record.seed,
        threshold=moved_to,
        metrics={
            "validation_dice": record.best_validation_dice,
            "max_probability_difference": difference,
            "parity_inputs": float(sum(len(batch) for batch in frames)),
        },
        tools={
            "edgeseg": edgeseg.__version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "onnx", "onnxruntime")},
        },
    )
    metadata = ModelMetadata(model=info.model, preprocess=info.preprocess, provenance=provenance)
    return metadata, with_metadata(proto, metadata)


@dataclass(frozen=True)
class _Shifted:
    """The network as PyTorch computes it, with the threshold that its graph is given."""

    session: TorchSession
    threshold: float

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        probability = self.session.infer(frames)
        return probability if self.threshold == 0.5 else moved_probability(probability, self.threshold)


def contract_graph(network: nn.Module, model: ModelSpec, preprocess: PreprocessSpec) -> onnx.ModelProto:
    """Trace a network into the contract graph, batch dynamic, batch norm and padding folded into the convolutions."""
    require("onnxscript")
    example = torch.zeros((2, *model.input_shape), dtype=torch.uint8)
    batch = torch.export.Dim("N", min=1, max=LARGEST_BATCH)
    with _quiet(), own_code_named(model.architecture, "cannot be exported"):
        program = torch.onnx.export(
            ContractGraph(network, model, preprocess).eval().cpu(),
            (example,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes={INPUT_NAME: {0: batch}},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return parse_onnx(program.model_proto.SerializeToString(), "the exported graph")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks about packages that nobody asked for."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
