"""The whole path on synthetic endoscopy: images, training, ONNX, calibration, engines, video, proof."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifacts import PRECISIONS, ClipVerdict, Precision, Verdict
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images, load_pairs
from edgeseg.export.build import BuildOptions, BuildResult, build_engine
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.files import write_text
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import read_mask
from edgeseg.optional import is_installed
from edgeseg.packages import RUN_RECIPE
from edgeseg.progress import Track, silent
from edgeseg.proof.clips.clip_verdict import ClipRequest
from edgeseg.proof.verdict.engine_verdict import verify_on_clips
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verdict_page import HTML_NAME, write_report
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.file.outputs import Outputs
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.video.video_files import open_source
from edgeseg.synthetic.folders import write_dataset
from edgeseg.synthetic.synthetic_clip import write_clip
from edgeseg.train.recipe import read_recipe
from edgeseg.train.record import RUN_RECORD, Epoch, RunRecord
from edgeseg.train.training import train

SEED = 1
IMAGE_COUNTS = {"train": 300, "validation": 60, "test": 60}
IMAGE_SIDE_PX = 256
NEGATIVES_IN = ("train",)
"""Each test picture shows a polyp, as in Kvasir-SEG: where there is none, one false pixel costs a Dice of 1."""
CLIP_FRAMES = 150
CALIBRATION_IMAGES = 64
RECIPE_SETTINGS = (
    "model.architecture=ultra-lite0-unet",
    "model.height=128",
    "model.width=128",
    "training.epochs=24",
    "training.batch_size=8",
    "training.learning_rate=4e-3",
)
"""The smallest network that ships: a processor with AVX2 alone needs a quarter of the others' time for a step of it."""

INDENT = " " * 13
"""Indents a line that continues the step above it."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class EngineRow:
    """One engine of the demo."""

    backend: str
    precision: Precision
    engine: Path
    engine_bytes: int
    int8_convolutions: int
    convolutions: int
    verdict: Verdict | None = None
    """None where this machine cannot execute the engine."""
    instead_of_int8: str | None = None
    """Why it computes in float32 although INT8 was asked for; None where it is what was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON types, with the verdict's main figures."""
        row: dict[str, Any] = {
            "backend": self.backend,
            "precision": self.precision,
            "engine": str(self.engine),
            "engine_bytes": self.engine_bytes,
            "int8_convolutions": self.int8_convolutions,
            "convolutions": self.convolutions,
            "instead_of_int8": self.instead_of_int8,
        }
        if self.verdict is not None:
            times = self.verdict.latency.end_to_end
            row |= {
                "passed": self.verdict.passed,
                "mean_dice": self.verdict.mean_dice,
                "mean_dice_drop": self.verdict.mean_dice_drop,
                "p50_ms": times.p50_ms,
                "p99_ms": times.p99_ms,
            }
        return row


@dataclass(frozen=True)
class DemoResult:
    """The demo's engines, page and clip."""

    rows: tuple[EngineRow, ...]
    page: Path
    clip: Path
    clips: ClipVerdict
    """INT8 on the clip, frame by frame; one clip is too little to ship by, so that it is told and does not count."""
    clips_page: Path
    seconds: float

    @property
    def passed(self) -> bool:
        """True if every engine that ran is within tolerance."""
        return all(row.verdict.passed is True for row in self.rows if row.verdict is not None)

    @property
    def against_int8(self) -> str | None:
        """Why INT8 is not for this machine, as a sentence; None where its engine passed."""
        for row in self.rows:
            if row.instead_of_int8 is not None:
                return f"INT8 is not for this machine: {row.instead_of_int8}. Its engine computes in float32 instead."
            if row.precision == "int8" and row.verdict is not None and row.verdict.passed is not True:
                return f"INT8 is not for this machine: {row.verdict.reasons[0]}. Use the fp32 or fp16 engine here."
        return None


class _Paths:
    """The demo's files and folders; a step whose result is there is not done again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.run = root / "data", root / "run"
        self.clip, self.clip_masks, self.clip_set = root / "clip.mp4", root / "clip-masks", root / "clips.toml"
        self.onnx, self.table = root / "model.onnx", root / "model.calibration.json"
        self.overlay = root / "overlay.mp4"

    def engine(self, backend: str, precision: Precision) -> Path:
        return self.root / f"{backend}.{precision}.engine"

    def report(self, shown: str) -> Path:
        """The page of a precision, or of the clips."""
        return self.root / f"report-{shown}"


def run_demo(root: Path, say: Say, track: Track = silent) -> DemoResult:
    """Walk the whole path in one folder; a second run goes on where the first was cut off.

    Args:
        root: The demo's folder.
        say: Takes one line a step.
        track: Draws the progress inside steps.
    """
    started = time.perf_counter()
    paths = _Paths(root)
    _make_data(paths, say, track)
    _train(paths, say, track)
    _export(paths, say, track)
    rows = [
        _prove(paths, precision, _build(paths, "onnxruntime", precision, say), say, track) for precision in PRECISIONS
    ]
    if is_installed("tensorrt_rtx"):
        rows += [_row(_build(paths, "tensorrt-rtx", precision, say)) for precision in PRECISIONS]
    _run(paths, say, track)
    clips = _prove_on_the_clip(paths, say, track)
    pages = [paths.report(shown) / HTML_NAME for shown in ("int8", "clips")]
    return DemoResult(tuple(rows), pages[0], paths.overlay, clips, pages[1], time.perf_counter() - started)


def _make_data(paths: _Paths, say: Say, track: Track) -> None:
    if not paths.data.exists():
        say(f"1 images     {sum(IMAGE_COUNTS.values())} synthetic pictures with masks, in three splits")
        write_dataset(paths.data, SEED, IMAGE_COUNTS, IMAGE_SIDE_PX, IMAGE_SIDE_PX, NEGATIVES_IN, track)
    if not paths.clip_set.exists():
        say(f"{INDENT}a clip of {CLIP_FRAMES} frames, 640x480")
        shutil.rmtree(paths.clip_masks, ignore_errors=True)
        write_clip(paths.clip, SEED + 1, CLIP_FRAMES, masks_dir=paths.clip_masks, track=track)
        write_text(paths.clip_set, _clip_set(paths))


def _clip_set(paths: _Paths) -> str:
    """The file of clips: the frames that show a polyp, by the clip's masks."""
    marked = [bool(read_mask(path).any()) for path in sorted(paths.clip_masks.iterdir())]
    edges = np.flatnonzero(np.diff(np.r_[False, marked, False]))
    shown = [[int(first), int(after) - 1] for first, after in edges.reshape(-1, 2)]
    return f'[[clips]]\npath = "{paths.clip.name}"\nshown = {shown}\n'


def _train(paths: _Paths, say: Say, track: Track) -> None:
    record = paths.run / RUN_RECORD
    if record.is_file() and RunRecord.read(record).finished:
        return
    recipe = read_recipe(None, RECIPE_SETTINGS)
    size = f"{recipe.model.width}x{recipe.model.height}"
    say(f"2 training   {recipe.model.architecture} at {size}, {recipe.training.epochs} epochs")

    def report(row: Epoch, record: RunRecord) -> None:
        say(f"{INDENT}epoch {row.epoch:2d}  loss {row.train_loss:.3f}  validation Dice {row.validation_dice:.4f}")

    def tell(line: str) -> None:
        say(f"{INDENT}{line}")

    resume = (paths.run / RUN_RECIPE).is_file()
    train(paths.data, paths.run, recipe, resume=resume, report=report, say=tell, track=track)


def _export(paths: _Paths, say: Say, track: Track) -> None:
    if not paths.onnx.exists():
        say("3 export     ONNX, compared with PyTorch")
        model = read_recipe(paths.run / RUN_RECIPE).model_spec()
        metadata = export_run(paths.run, paths.onnx, parity_inputs(paths.data, model))
        difference = metadata.provenance.metrics["max_probability_difference"]
        say(f"{INDENT}probabilities differ by {difference:.1g} at most")
    if not paths.table.exists():
        say(f"4 calibrate  activation ranges on {CALIBRATION_IMAGES} training images")
        images = choose_images(load_images(paths.data, "train"), CALIBRATION_IMAGES)
        calibrate(load_onnx(paths.onnx), images, track).write(paths.table)


def _build(paths: _Paths, backend: str, precision: Precision, say: Say) -> BuildResult:
    out = paths.engine(backend, precision)
    options = BuildOptions(precision, backend, out=out)
    result = build_engine(paths.onnx, options)
    passport = result.passport
    say(
        f"5 engine     {passport.backend} {precision}: {passport.engine_bytes / 1e6:.2f} MB, "
        f"INT8 in {passport.int8_convolutions} of {passport.convolutions} convolutions"
    )
    if result.instead_of_int8 is not None:
        say(f"{INDENT}float32 instead of INT8: {result.instead_of_int8}")
    return result


def _row(built: BuildResult, verdict: Verdict | None = None) -> EngineRow:
    passport = built.passport
    return EngineRow(
        passport.backend,
        passport.precision,
        built.engine,
        passport.engine_bytes,
        passport.int8_convolutions,
        passport.convolutions,
        verdict,
        built.instead_of_int8,
    )


def _prove(paths: _Paths, asked: Precision, built: BuildResult, say: Say, track: Track) -> EngineRow:
    pairs = load_pairs(paths.data, "test")
    limits = limits_for(built.passport.precision, None, None)
    folder = paths.report(asked)
    with (
        contextlib.closing(open_engine(built.engine)) as engine,
        contextlib.closing(open_engine(paths.onnx)) as reference,
    ):
        verdict = verify(engine, reference, pairs, limits, passport=built.passport, track=track)
        write_report(folder, verdict, engine, reference, pairs)
    say(f"6 verify     {'passed' if verdict.passed is True else verdict.passed}: {verdict.reasons[0]}")
    return _row(built, verdict)


def _run(paths: _Paths, say: Say, track: Track) -> None:
    paths.overlay.unlink(missing_ok=True)
    outputs = Outputs(pictures=paths.overlay)
    outputs.check([paths.clip])
    with (
        contextlib.closing(open_engine(paths.engine("onnxruntime", "int8"))) as engine,
        open_source(paths.clip) as frames,
        outputs.open(frames.timing) as sinks,
    ):
        result = run_stream(engine, frames, sinks, track=track)
    say(f"7 run        {result.frames} frames, {result.frames_with_mask} with a mask, {result.latency.fps:.0f} fps")


def _prove_on_the_clip(paths: _Paths, say: Say, track: Track) -> ClipVerdict:
    engine, request = paths.engine("onnxruntime", "int8"), ClipRequest(paths.clip_set)
    verdict = verify_on_clips(engine, lambda: open_engine(paths.onnx), request, paths.report("clips"), track)
    say(f"8 video      {'passed' if verdict.passed is True else verdict.passed}: {verdict.reasons[0]}")
    return verdict
