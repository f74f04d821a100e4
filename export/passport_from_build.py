"""The passport of an engine that was just built, and the command that makes it again."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path

from edgeseg.artifacts import BuildRecord, EngineArtifact
from edgeseg.calibration.placement import default_plan
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, BuiltEngine, EngineBuilder, tensor_specs
from edgeseg.files import sha256_bytes
from edgeseg.runtime.passport.passports import passport_path


def passport_from_build(
    request: BuildRequest,
    built: BuiltEngine,
    builder: EngineBuilder,
    rebuild: str = "",
    record: BuildRecord | None = None,
    former: EngineArtifact | None = None,
) -> EngineArtifact:
    """Describe an engine.

    Args:
        request: What was asked of the builder.
        built: What it made.
        builder: Whose engine it is.
        rebuild: The command that makes it again; see `rebuild_command`.
        record: The sources as they were named; both are left out for an engine that is never written.
        former: The passport that the build repeats; an engine of the same bytes keeps its date.
    """
    artifact, plan = request.artifact, request.plan
    sha256 = sha256_bytes(built.data)
    frame, probability = tensor_specs(artifact.metadata.model)
    return EngineArtifact(
        engine_sha256=sha256,
        engine_bytes=len(built.data),
        backend=builder.name,
        backend_version=built.backend_version,
        precision=request.precision,
        convolutions=built.convolutions,
        int8_convolutions=built.int8_convolutions,
        onnx_sha256=artifact.sha256,
        weights_sha256=artifact.weights_sha256,
        calibration_sha256=request.table.sha256 if request.table else None,
        precision_plan=plan,
        precision_plan_sha256=None if plan is None else plan.sha256,
        kept_float32=request.kept_float32 or None,
        asymmetry=built.asymmetry,
        inputs=(frame,),
        outputs=(probability,),
        model=artifact.metadata.model,
        preprocess=artifact.metadata.preprocess,
        build_flags=built.build_flags,
        rebuild=rebuild,
        built=former.built if former is not None and former.engine_sha256 == sha256 else _now(),
        build=record,
        binding=built.binding,
        timings=built.timings,
    )


def rebuild_command(
    request: BuildRequest, builder: EngineBuilder, record: BuildRecord, options: BuilderOptions | None, out: Path
) -> str:
    """The command that makes an engine again; a plan that was never a file is only in the passport."""
    standard = default_plan(request.artifact.proto, request.precision, builder.beside_int8, builder.name)
    if record.precision_plan is None and request.plan not in (None, standard):
        return shlex.join(["edgeseg", "build-engine", "--from-passport", str(passport_path(out))])
    words = ["edgeseg", "build-engine", record.model]
    words += ["--precision", request.precision] if record.precision_plan is None else []
    words += ["--backend", builder.name]
    named = {
        "--precision-plan": record.precision_plan,
        "--calibration": record.calibration,
        "--calibration-data": record.calibration_data,
        "--method": record.method,
    }
    for flag, value in named.items():
        words += [] if value is None else [flag, value]
    words += [] if options is None else options.command_line()
    return shlex.join([*words, "--out", str(out)])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
