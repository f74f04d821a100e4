"""Any artifact of ours, read and told as a person would read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgeseg.archive_members import is_file_or_member, read_file
from edgeseg.artifacts import (
    PRECISIONS,
    CalibrationTable,
    ClipVerdict,
    EngineArtifact,
    KeptFloat32,
    LatencyReport,
    PrecisionPlan,
    Quantity,
    Verdict,
)
from edgeseg.calibration.asymmetry import asymmetry_in_words
from edgeseg.calibration.fp16_types import LARGEST_FP16
from edgeseg.calibration.plan_files import read_plan
from edgeseg.errors import BadInputError
from edgeseg.export.layers.layer_report import LayerReport
from edgeseg.export.mixing.search_words import headline
from edgeseg.files import read_json, read_text, read_toml, sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.packages import PACKAGE_CARD, find_model
from edgeseg.proof.evaluation.document import EvaluationDocument
from edgeseg.proof.protocol.protocol_file import read_protocol
from edgeseg.runtime.live.scene.statistics import TrainingStatistics
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.signing.envelopes import ENVELOPE_SUFFIX, claims_of
from edgeseg.specs import ModelSpec, TrainedRanges
from edgeseg.strict_text import parse_json
from edgeseg.threshold import ThresholdChoice
from edgeseg.values import Value

JSON_KINDS: tuple[type[Value], ...] = (
    CalibrationTable,
    EngineArtifact,
    LatencyReport,
    BenchReport,
    LayerReport,
    PrecisionPlan,
    Verdict,
    ClipVerdict,
    ThresholdChoice,
    TrainingStatistics,
)


SHOWN_NAMES = 4
MOST_FIGURES = 5


@dataclass(frozen=True)
class Description:
    """A file's kind and contents."""

    kind: str
    facts: dict[str, Any]
    """Name -> value, in reading order."""
    document: dict[str, Any]
    """Everything, for `--json`."""


def describe(path: Path) -> Description:
    """Tell what a file or folder is.

    Raises:
        BadInputError: Nothing of ours.
        MismatchError: An engine that its passport does not describe.
    """
    if path.name.endswith(ENVELOPE_SUFFIX) and is_file_or_member(path):
        return _envelope(path)
    if path.suffix == ".json" and is_file_or_member(path):
        return _json_file(path)
    if path.suffix == ".toml" and path.is_file():
        return _protocol(path) if "set_by" in read_toml(path, "a plan or a protocol") else _plan(path)
    files = find_model(path)
    if files.kind == "engine":
        return _engine(path)
    if files.kind == "run":
        return _run(path)
    assert files.onnx is not None
    description = _onnx(files.onnx)
    if files.kind == "onnx":
        return description
    card = files.path / PACKAGE_CARD
    facts = {
        "package": files.name,
        **description.facts,
        "calibration": files.calibration is not None,
        "card": is_file_or_member(card),
    }
    return Description("model package", facts, {"package": files.name, **description.document})


def _envelope(path: Path) -> Description:
    statement, key_ids = claims_of(path)
    document, engine = statement.subject
    facts = {
        document.name: f"sha256 {document.digest.sha256}",
        engine.name: f"sha256 {engine.digest.sha256}",
        **statement.predicate,
        "claims to be signed by": ", ".join(f"key {key_id}" for key_id in key_ids) or "nobody",
        "checked by": "edgeseg verify-signature; nothing was checked here",
    }
    return Description("signature", facts, {"key_ids": key_ids, **statement.model_dump(mode="json", by_alias=True)})


def _onnx(path: Path) -> Description:
    artifact = load_onnx(path)
    graph = artifact.proto.graph
    convolutions = sum(node.op_type in ("Conv", "ConvTranspose") for node in graph.node)
    facts = {
        **artifact.metadata.summary(),
        "nodes": len(graph.node),
        "convolutions": convolutions,
        "opset": artifact.proto.opset_import[0].version,
        **_batch_in_words(artifact.metadata.model),
        "file": f"{len(read_file(path)) / 1e6:.2f} MB",
        **artifact.metadata.provenance.metrics,
        **_trained_in_words(artifact.metadata.trained_ranges),
        "sha256": artifact.sha256,
    }
    document = {"sha256": artifact.sha256, "weights_sha256": artifact.weights_sha256, **artifact.metadata.to_dict()}
    return Description("ONNX contract graph", facts, document)


def _trained_in_words(trained: TrainedRanges | None) -> dict[str, str]:
    if trained is None:
        return {}
    words = f"{len(trained.ranges)} by quantisation-aware training for {trained.target}"
    return {"INT8 ranges": f"{words}, from checkpoint {trained.source_sha256[:12]}"}


def _engine(path: Path) -> Description:
    _, passport = read_checked(path)
    search = None if passport.build is None else passport.build.search
    facts = {
        "backend": f"{passport.backend} {passport.backend_version}",
        "precision": passport.precision,
        "int8 convolutions": f"{passport.int8_convolutions} of {passport.convolutions}",
        **({} if passport.precision_plan is None else {"precision plan": _plan_in_words(passport.precision_plan)}),
        **({} if search is None else {"search": headline(search)}),
        **({} if passport.kept_float32 is None else {"kept in float32": _kept_in_words(passport.kept_float32)}),
        **({} if passport.asymmetry is None else {"levels": asymmetry_in_words(passport.asymmetry)}),
        "network": f"{passport.model.architecture}, {passport.model.width}x{passport.model.height}",
        **_batch_in_words(passport.model),
        "file": f"{passport.engine_bytes / 1e6:.2f} MB",
        "bound to": ", ".join(passport.binding.compute_capabilities or ()) or passport.binding.gpu or "nothing",
        "built by": passport.rebuild,
        "sha256": passport.engine_sha256,
    }
    return Description("engine, as its passport says", facts, passport.to_dict())


def _plan(path: Path) -> Description:
    plan = read_plan(path)
    return Description("precision plan", {"plan": _plan_in_words(plan), "sha256": plan.sha256}, plan.to_dict())


def _protocol(path: Path) -> Description:
    file = read_protocol(path)
    document = {
        "sha256": file.sha256,
        "edited": file.edited,
        **file.protocol.model_dump(mode="json", exclude_none=True),
    }
    facts = {key: _short(value) for key, value in document.items() if key != "seal"}
    return Description("protocol", facts, document)


def _plan_in_words(plan: PrecisionPlan) -> str:
    """``int8; fp16 for stem, head; fp32 for decoder.*``, with at most a few names each."""
    parts: list[str] = [plan.default]
    for precision in PRECISIONS:
        names = [name for name, asked in plan.layers.items() if asked == precision]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        parts += [f"{precision} for {', '.join(names[:SHOWN_NAMES])}{more}"] if names else []
    return "; ".join(parts)


def _batch_in_words(model: ModelSpec) -> dict[str, str]:
    return {} if model.largest_batch is None else {"batch": f"{model.largest_batch}: one picture at a time"}


def _kept_in_words(layers: tuple[KeptFloat32, ...]) -> str:
    """``a, b: up to 2.3e+06, beyond FP16's 65504``, with every layer's name, for there is no other list of them."""
    end = f"beyond FP16's {LARGEST_FP16:.0f}"
    parts = []
    for quantity in get_args(Quantity):
        chosen = [kept for kept in layers if kept.quantity == quantity]
        if not chosen:
            continue
        largest, smallest = (extreme(kept.magnitude for kept in chosen) for extreme in (max, min))
        words = {
            "value": f"up to {largest:.3g}, {end}",
            "sum": f"sums inside up to {largest:.3g}, {end}",
            "small": f"down to {smallest:.3g}, too small for FP16",
        }
        parts.append(f"{', '.join(kept.layer for kept in chosen)}: {words[quantity]}")
    return "; ".join(parts)


def _run(path: Path) -> Description:
    document = read_json(path / "run.json", "the record of a RUN")
    names = ("finished", "epochs", "best_epoch", "best_validation_dice", "parameters", "seed", "data_sha256")
    return Description("RUN folder", {name: document.get(name) for name in names}, document)


def _json_file(path: Path) -> Description:
    text = read_text(path, "JSON")
    for kind in JSON_KINDS:
        try:
            value = kind.from_json(text, str(path))
        except BadInputError:
            continue
        document = value.to_dict()
        facts = {key: _short(item) for key, item in document.items()}
        return Description(kind.__name__, {**facts, "sha256": sha256_file(path)}, document)
    try:
        facts = EvaluationDocument.from_json(text, str(path)).facts()
    except BadInputError as error:
        raise BadInputError(
            f"{path} is no document of edgeseg",
            expected="a calibration table, a passport, a precision plan, a latency, bench or layer report, a verdict, "
            "an evaluation, a choice of a threshold, or statistics of training pictures",
        ) from error
    return Description("Evaluation", {**facts, "sha256": sha256_file(path)}, parse_json(text))


def _short(item: Any) -> Any:
    """A value for one line: sentences and a few figures as they are, what is longer as its number of entries."""
    if isinstance(item, list) and len(item) <= SHOWN_NAMES and all(isinstance(part, str) for part in item):
        return "; ".join(item)
    if (
        isinstance(item, dict)
        and len(item) <= MOST_FIGURES
        and not any(isinstance(v, dict | list) for v in item.values())
    ):
        return ", ".join(f"{key} {_short(value)}" for key, value in item.items())
    if isinstance(item, float):
        return f"{item:.6g}"
    return f"{len(item)} entries" if isinstance(item, dict | list) else item
