"""All engines that this machine can build, one after the other, and what that says of the machine."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from edgeseg.artifacts import Precision
from edgeseg.dataset import SPLITS, Pair, hash_pairs, load_pairs
from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.files import check_writable, sha256_bytes, sha256_file, write_text
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.machine.doctor.checks import DoctorReport
from edgeseg.machine.qualify.engine_qualification import Job, qualify_engine
from edgeseg.machine.qualify.qualification_page import HTML_NAME, JSON_NAME, render_page
from edgeseg.machine.qualify.qualification_values import EngineQualification, Outcome, Qualification, QualifyOptions
from edgeseg.packages import ModelFiles, find_model, onnx_of
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.shell import quoted
from edgeseg.synthetic.folders import write_dataset

SYNTHETIC_SEED = 20
SYNTHETIC_SIZE = (480, 640)
_VERSIONS_OF = ("onnxruntime", "tensorrt", "tensorrt-rtx", "numpy", "opencv-python-headless")


def qualify(
    model: Path,
    options: QualifyOptions,
    machine: DoctorReport,
    gpu_memory: Callable[[], int | None] = lambda: None,
    track: Track = silent,
    say: Say = quiet,
) -> Qualification:
    """Build, prove, soak and measure every engine, and write `qualify.json` and `qualify.html`.

    Args:
        model: An .onnx file or a model package.
        options: What was asked for.
        machine: What the doctor found here.
        gpu_memory: Bytes in use on the GPU; None where the machine does not tell.
        track: Shows progress.
        say: Hears a line an engine.

    Raises:
        BadInputError: The model or the data cannot be read, or INT8 was asked for without ranges.
        MissingComponentError: A backend that was asked for cannot build here.
    """
    files = find_model(model)
    artifact = load_onnx(onnx_of(files))
    backends = _backends(options, machine)
    check_writable(options.out / JSON_NAME)
    pairs = _pairs(options, track)
    data_sha256 = hash_pairs(pairs)
    jobs = [
        _job(files, artifact, options, machine, data_sha256, backend, precision)
        for backend in backends
        for precision in options.precisions
    ]
    engines = []
    with contextlib.closing(open_engine(model)) as reference:
        for job in jobs:
            found = _done_before(job) or _left_out(job, files)
            if found is None:
                say(f"{job.name}: building, comparing, soaking, measuring")
                found = qualify_engine(job, reference, pairs, gpu_memory, track)
                found.write(job.record)
            say(f"{job.name}: {found.outcome}; {found.reasons[0]}")
            engines.append(found)
    result = _concluded(model, artifact, options, machine, data_sha256, engines)
    write_text(options.out / HTML_NAME, render_page(result))
    result.write(options.out / JSON_NAME)
    return result


def _backends(options: QualifyOptions, machine: DoctorReport) -> list[str]:
    for name in options.backends:
        state = machine.backend(name)
        if not state.builds:
            raise MissingComponentError(
                f"the backend {name} cannot build here",
                found=state.reason,
                expected=f"all that `edgeseg doctor --backend {quoted(name)}` names",
                next_command=state.next_command or "edgeseg doctor",
            )
    return list(options.backends) or [state.name for state in machine.backends if state.builds]


def _pairs(options: QualifyOptions, track: Track) -> list[Pair]:
    if options.data is not None:
        return load_pairs(options.data, options.split, classes=None)
    folder = options.out / f"synthetic-{options.synthetic_images}"
    if not folder.exists():
        write_dataset(folder, SYNTHETIC_SEED, {"test": options.synthetic_images}, *SYNTHETIC_SIZE, track=track)
    return load_pairs(folder, "test")


def _job(
    files: ModelFiles,
    artifact: OnnxArtifact,
    options: QualifyOptions,
    machine: DoctorReport,
    data_sha256: str,
    backend: str,
    precision: Precision,
) -> Job:
    calibration_data = None
    if precision == "int8" and files.calibration is None and _has_train_split(options.data):
        calibration_data = options.data
    facts = {
        "onnx": artifact.sha256,
        "calibration": None if files.calibration is None else sha256_file(files.calibration),
        "calibration_data": None if calibration_data is None else str(calibration_data),
        "data": data_sha256,
        "labelled": options.data is not None,
        "soak": [options.soak.seconds, options.soak.min_frames],
        "backend": backend,
        "precision": precision,
        "edgeseg": machine.edgeseg_version,
        "machine": machine.machine,
        "hardware": machine.hardware.model_dump(mode="json"),
        "versions": {check.name: check.found for check in machine.checks if check.name in _VERSIONS_OF},
    }
    fingerprint = sha256_bytes(json.dumps(facts, sort_keys=True).encode())
    return Job(files.path, backend, precision, fingerprint, options, calibration_data)


def _has_train_split(data: Path | None) -> bool:
    return data is not None and (data / SPLITS[0]).is_dir()


def _done_before(job: Job) -> EngineQualification | None:
    """Take over what a former run found, if it passed, is of the same things, and its engine is still there."""
    try:
        former = EngineQualification.read(job.record)
    except BadInputError:
        return None
    built = former.built
    if former.outcome != "passed" or former.fingerprint != job.fingerprint or built is None:
        return None
    return former if job.engine.is_file() and sha256_file(job.engine) == built.engine_sha256 else None


def _left_out(job: Job, files: ModelFiles) -> EngineQualification | None:
    if job.precision != "int8" or files.calibration is not None or job.calibration_data is not None:
        return None
    command = (
        f"edgeseg calibrate {quoted(files.path)} --data DIR --out {quoted(files.path.with_suffix('.calibration.json'))}"
    )
    if job.options.precisions == ("int8",):
        raise BadInputError("INT8 needs a calibration table, and this model has none", next_command=command)
    return job.ended("left out", [f"INT8 needs a calibration table, and this model has none; {command}"])


def _concluded(
    model: Path,
    artifact: OnnxArtifact,
    options: QualifyOptions,
    machine: DoctorReport,
    data_sha256: str,
    engines: Sequence[EngineQualification],
) -> Qualification:
    passed = conclude([engine.outcome for engine in engines])
    proves = options.data is not None
    return Qualification(
        passed=passed,
        proves_accuracy=proves,
        summary=_summary(engines, proves),
        model_path=str(model),
        model=artifact.metadata.model,
        onnx_sha256=artifact.sha256,
        data_sha256=data_sha256,
        engines=tuple(engines),
        machine=machine,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def conclude(outcomes: Sequence[Outcome]) -> bool | Literal["undecided"]:
    """True where every engine that was executed passed, and one was; else the worst of them."""
    if "failed" in outcomes:
        return False
    if "undecided" in outcomes or "passed" not in outcomes:
        return "undecided"
    return True


def _summary(engines: Sequence[EngineQualification], proves: bool) -> str:
    counted = [f"{count} {outcome}" for outcome in get_args(Outcome) if (count := _count(engines, outcome))]
    sentence = f"{len(engines)} engines: {', '.join(counted)}."
    if proves:
        return sentence
    return (
        f"{sentence} The frames were synthetic and have no ground truth: this shows that the engines compute what the "
        "reference computes, and is no proof of accuracy. Give --data DIR for one."
    )


def _count(engines: Sequence[EngineQualification], outcome: Outcome) -> int:
    return sum(engine.outcome == outcome for engine in engines)
