"""ONNX (and calibration) -> engine and passport on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.artifacts import BuildRecord, CalibrationTable, EngineArtifact, KeptFloat32, Precision, PrecisionPlan
from edgeseg.calibration.fp16_range import beyond_fp16, typical_frames
from edgeseg.calibration.methods import DEFAULT_METHOD
from edgeseg.calibration.placement import assign, default_plan, lowest
from edgeseg.calibration.selection import choose_images
from edgeseg.calibration.table_cache import calibrate_once
from edgeseg.calibration.table_check import check_table
from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.builder_choice import builder_for
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, EngineBuilder, tell_kept
from edgeseg.export.former_build import check_same_network, check_same_table
from edgeseg.export.mixing.accuracy_limits import AccuracyLimits
from edgeseg.export.mixing.way_back import find_plan
from edgeseg.export.passport_from_build import passport_from_build, rebuild_command
from edgeseg.export.precision_plans import write_plan_of
from edgeseg.files import check_writable, write_bytes
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import read_rgb
from edgeseg.packages import ModelFiles, find_model, onnx_of
from edgeseg.precision_search import PrecisionSearch
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.runtime.engine.backends import AUTO
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.shell import quoted

CALIBRATION_IMAGES = 256
RANGE_IMAGES = 8
"""Images that FP16's range is held against; noise and synthetic pictures where there are none."""


@dataclass(frozen=True)
class BuildOptions:
    """The settings of `edgeseg build-engine`."""

    precision: Precision = "fp16"
    """Precision of every convolution, unless a plan says otherwise."""
    backend: str = AUTO
    """A name of the registry (`edgeseg.runtime.engine.backends`), or auto."""
    calibration: Path | None = None
    """A table; None takes the package's own, or the one beside the ONNX file."""
    calibration_data: Path | None = None
    out: Path | None = None
    """None: NAME.PRECISION.engine in the current folder, NAME.mixed.engine with a plan."""
    builder: BuilderOptions | None = None
    """The backend's own options, such as `TensorRtOptions`; None takes its defaults."""
    plan: PrecisionPlan | None = None
    """The precision of each convolution; None takes the default plan of `precision`."""
    plan_path: Path | None = None
    """The file that the plan was read from, or that the plan that was found is written to."""
    limits: AccuracyLimits | None = None
    """The limits of what INT8 may cost, in place of a plan: convolutions that cost more go back to float."""
    former: EngineArtifact | None = None
    """The passport of the build that this one repeats: network and calibration must be the same."""
    method: str | None = None
    """Calibration method; None takes `max` for `calibration_data`, and a table whatever method made it."""
    keep_int8: bool = False
    """Build INT8 although float32 is as quick on this machine; a plan and a repeated build do so in any case."""

    @property
    def may_leave_int8(self) -> bool:
        """True if float32 may take the place of INT8 where INT8 gains nothing."""
        return not self.keep_int8 and self.plan is None and self.limits is None and self.former is None

    @property
    def asked_for(self) -> str:
        """The precision as a file's name has it: ``mixed`` where a plan was given or is to be found."""
        return "mixed" if self.plan or self.limits else self.precision


@dataclass(frozen=True)
class BuildResult:
    """The files that were written, and why that backend was chosen."""

    engine: Path
    passport: EngineArtifact
    backend_reason: str
    instead_of_int8: str | None = None
    """Why float32 was built although INT8 was asked for; None where what was asked for was built."""


def build_engine(model: Path, options: BuildOptions, track: Track = silent, say: Say = quiet) -> BuildResult:
    """Build an engine and write it with its passport.

    Raises:
        BadInputError: INT8 without ranges, a model that cannot be read or that the backend refuses.
        MismatchError: The calibration table belongs to other weights, was made by another method, or is not the former
            one.
        MissingComponentError: The backend, or the GPU that it builds on, is not on this machine.
        NoMixHoldsError: No mix of precisions stays within `options.limits`.
        UsageError: Options that exclude each other.
    """
    _check_calibration(options)
    files = find_model(model)
    artifact = load_onnx(onnx_of(files))
    out = options.out or Path(f"{files.name}.{options.asked_for}.engine")
    for path in (out, passport_path(out)):
        check_writable(path, files.onnx, options.calibration or files.calibration)
    if options.limits is not None and options.plan_path is not None:
        check_writable(options.plan_path, files.onnx, options.calibration or files.calibration)
    former = options.former
    if former is not None:
        check_same_network(artifact, former, files.path)
    builder, reason = builder_for(options.backend, options.builder)
    plan = options.plan or default_plan(artifact.proto, options.precision, builder.beside_int8, builder.name)
    assigned = assign(artifact.proto, plan)
    precision = lowest(assigned)
    table = _table(files, artifact, options, track, say) if precision == "int8" else None
    if table is not None and former is not None:
        check_same_table(table, former, options.calibration or options.calibration_data)
    kept = _beyond_fp16(files, artifact, options, table) if _computes_in_fp16(assigned, builder) else ()
    request = BuildRequest(artifact, precision, table, plan, kept, former)
    tell_kept(kept, say)
    found = None
    if options.limits is not None:
        plan, found = find_plan(builder, request, options.limits, track, say)
        request = replace(request, plan=plan)
    built = builder.build(request, say)
    instead = builder.why_not_int8(request, built) if precision == "int8" and options.may_leave_int8 else None
    if instead is not None:
        request = BuildRequest(artifact, "fp32")
        options = replace(options, precision="fp32", calibration=None, calibration_data=None, method=None)
        built = builder.build(request, say)
    record = _record(files, options, found, request.table)
    rebuild = rebuild_command(request, builder, record, options.builder, out)
    passport = passport_from_build(request, built, builder, rebuild, record, options.former)
    if found is not None and options.plan_path is not None and request.plan is not None:
        write_plan_of(artifact.proto, request.plan, options.plan_path)
    write_bytes(out, built.data)
    passport.write(passport_path(out))
    return BuildResult(out, passport, reason, instead)


def _check_calibration(options: BuildOptions) -> None:
    if options.calibration_data is None:
        return
    if options.calibration is not None:
        raise UsageError("--calibration and --calibration-data exclude each other")


def _table(
    files: ModelFiles, artifact: OnnxArtifact, options: BuildOptions, track: Track, say: Say
) -> CalibrationTable:
    if options.calibration_data is not None:
        images = load_images(options.calibration_data, "train")
        chosen = choose_images(images, CALIBRATION_IMAGES)
        method = options.method or DEFAULT_METHOD
        return calibrate_once(artifact, chosen, options.calibration_data, track, method, say)
    path = options.calibration or files.calibration
    if path is None:
        raise BadInputError(
            "INT8 needs a calibration table, and there is none",
            found=f"no table beside {files.path}",
            expected="--calibration FILE or --calibration-data DIR",
            next_command=f"edgeseg calibrate {quoted(files.path)} --data DIR "
            f"--out {quoted(f'{files.name}.calibration.json')}",
        )
    table = CalibrationTable.read(path)
    check_table(artifact, table, options.method)
    return table


def _computes_in_fp16(assigned: Mapping[str, Precision], builder: EngineBuilder) -> bool:
    found = set(assigned.values())
    return "fp16" in found or ("int8" in found and builder.beside_int8 == "fp16")


def _beyond_fp16(
    files: ModelFiles, artifact: OnnxArtifact, options: BuildOptions, table: CalibrationTable | None
) -> tuple[KeptFloat32, ...]:
    """Layers that FP16 cannot compute, seen on calibration images where some were named, else on made-up ones."""
    if table is None and options.calibration is not None:
        table = CalibrationTable.read(options.calibration)
        check_table(artifact, table)
    elif table is None and files.calibration is not None:
        beside = CalibrationTable.read(files.calibration)
        table = beside if beside.weights_sha256 == artifact.weights_sha256 else None
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    if options.calibration_data is None:
        return beyond_fp16(artifact, typical_frames(model), table)
    images = choose_images(load_images(options.calibration_data, "train"), RANGE_IMAGES)
    frames = (resize_to_network(read_rgb(path), model.height, model.width, crop) for path in images)
    return beyond_fp16(artifact, frames, table)


def _record(
    files: ModelFiles, options: BuildOptions, search: PrecisionSearch | None, table: CalibrationTable | None
) -> BuildRecord:
    former = None if options.former is None else options.former.build
    return BuildRecord(
        model=str(files.path),
        calibration=_named(options.calibration),
        calibration_data=_named(options.calibration_data),
        method=options.method,
        table_method=None if table is None else table.method,
        table_data_sha256=None if table is None else table.data_sha256,
        precision_plan=_named(options.plan_path),
        search=search or (None if former is None else former.search),
    )


def _named(path: Path | None) -> str | None:
    return None if path is None else str(path)
