"""The Python interface: what the commands do, as functions of `edgeseg`, loaded when one is used."""

from __future__ import annotations

import functools
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgeseg.artifacts import ClipVerdict, Precision, Verdict
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.build import BuildOptions, BuildResult
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.frames import Frame, Mask, Probability
from edgeseg.packages import find_model
from edgeseg.proof.clips.clip_verdict import ClipRequest
from edgeseg.proof.verdict.engine_verdict import Demands, verify_engine, verify_on_clips
from edgeseg.runtime.cuda.cuda_engine import CudaEngine
from edgeseg.runtime.cuda.device_frames import DevicePixels
from edgeseg.runtime.cuda.lane_results import DeviceResult
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.session import SessionInfo, mask_at_frame
from edgeseg.runtime.opener import engine_from_file
from edgeseg.runtime.opener.use import Use
from edgeseg.shell import quoted

PathLike = str | Path
LARGEST_FRAME_BYTES = 3840 * 2160 * 3
"""The largest frame of the host that a GPU's engine in this process has room for: 4K, RGB."""


class OpenEngine:
    """An engine, ready for frames; close it, or use it in a `with` block. For one thread.

    Args:
        engine: What runs; closing this closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> SessionInfo:
        """The network that runs: backend, precision, the file's hash."""
        return self._engine.info

    def segment(self, frame: Frame) -> Mask:
        """Segment one frame.

        Args:
            frame: uint8 [H,W,3], RGB, of any size.

        Returns:
            uint8 [H,W] at the frame's size: 255 where the polyp is; with several classes the class's index.

        Raises:
            BadInputError: No such frame, or the network's crop does not lie inside it.
        """
        return mask_at_frame(self.info, self.probability(frame), *frame.shape[:2])

    def probability(self, frame: Frame) -> Probability:
        """Run the network on one frame, uint8 [H,W,3] RGB: float32 [C,h,w] at the network's size."""
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            found = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise BadInputError("this is no frame", found=found, expected="a numpy array, uint8 [H,W,3], RGB")
        return probability_of(self._engine, PackedFrame(frame, "rgb"))

    def segment_on_device(self, frame: object) -> DeviceResult:
        """Segment one frame that lies on the GPU, without a copy; the engine must be open in this process.

        Args:
            frame: uint8 [H,W,3], RGB, of any size, on the engine's GPU: a PyTorch or CuPy array, or any with
                `__dlpack__` or `__cuda_array_interface__`. It must stay as it is until the result was read.

        Returns:
            Probability, mask and marked area on the GPU, at the network's size, each with
            `__cuda_array_interface__`; valid until the next frame.

        Raises:
            UsageError: The engine runs on a CPU or in a process of its own.
            BadInputError: The frame is of another kind, or the network's crop does not lie inside it.
        """
        if not isinstance(self._engine, CudaEngine):
            raise UsageError(
                "frames on a GPU need a GPU's engine in this process",
                found=repr(self),
                expected="edgeseg.open_engine(path, in_process=True) with an engine of a GPU",
            )
        self._engine.start_device(DevicePixels(frame, "rgb24"))
        return self._engine.finish_device()

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        self._engine.close()

    def __enter__(self) -> OpenEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        model = self.info.model
        return f"OpenEngine({self.info.backend} {self.info.precision}, {model.width}x{model.height})"


def open_engine(path: PathLike, *, threads: int = 0, in_process: bool = False) -> OpenEngine:
    """Open an engine, an .onnx file or a model package; the latter two run in float32 on ONNX Runtime.

    An engine of a GPU runs in a process of its own, so a script needs `if __name__ == "__main__":`.

    Args:
        path: NAME.engine with its passport beside it, NAME.onnx, or a package's folder or name.
        threads: Threads inside one inference on a CPU; 0 takes every usable core.
        in_process: Open a GPU's engine in this process: for frames that lie on the GPU. What goes wrong there for
            good (a lost GPU) then ends this process's use of CUDA.

    Raises:
        BadInputError: No such file, or a RUN folder.
        MismatchError: The engine's passport is missing or does not fit it, or it belongs to another machine.
        MissingComponentError: This machine cannot execute it.
    """
    if find_model(Path(path)).kind == "run":
        raise BadInputError(
            "a RUN folder is no engine",
            found=path,
            expected="an engine, an .onnx file or a model package",
            next_command=f"edgeseg export {quoted(path)} --out model.onnx",
        )
    if in_process:
        layout = SessionLayout(threads, frame_bytes=LARGEST_FRAME_BYTES)
        return OpenEngine(engine_of(engine_from_file.open_here(Path(path), layout)))
    return OpenEngine(engine_from_file.open_engine(Path(path), Use(threads)))


def build_engine(
    model: PathLike,
    *,
    precision: Precision = "fp16",
    backend: str = "auto",
    calibration: PathLike | None = None,
    calibration_data: PathLike | None = None,
    out: PathLike | None = None,
    method: str | None = None,
    keep_int8: bool = False,
    max_dice_drop: float | None = None,
    max_lost_polyps: int | None = None,
    data: PathLike | None = None,
) -> BuildResult:
    """Build an engine and its passport, as `edgeseg build-engine` does; arguments are named as its flags.

    Returns:
        Where the engine is, its passport, why this backend, and why float32 was built instead of INT8 where it was.
    """
    from edgeseg.export.build import build_engine as build
    from edgeseg.export.mixing.accuracy_limits import limits_on

    limits = limits_on(_path(data), max_dice_drop, max_lost_polyps)
    options = BuildOptions(
        precision if limits is None else "int8",
        backend,
        _path(calibration),
        _path(calibration_data),
        _path(out),
        limits=limits,
        method=method,
        keep_int8=keep_int8,
    )
    return build(Path(model), options)


def verify(
    engine: PathLike,
    *,
    reference: PathLike,
    data: PathLike,
    split: str = "test",
    max_dice_drop: float | None = None,
    max_p99_ms: float | None = None,
    max_lost_polyps: int | None = None,
    baseline: PathLike | None = None,
    report: PathLike | None = None,
    min_reference_dice: float | None = None,
    min_agreement: float | None = None,
    clips: PathLike | None = None,
    live_report: PathLike | None = None,
    protocol: PathLike | None = None,
    baseline_engine: PathLike | None = None,
    max_slowdown: float | None = None,
) -> Verdict:
    """Prove that an engine stays within tolerance, as `edgeseg verify` does; arguments are named as its flags.

    Returns:
        The verdict; `passed` is True, False or "undecided". Nothing is raised for an engine that fails.
    """
    demands = Demands(
        max_dice_drop,
        max_p99_ms,
        max_lost_polyps,
        _path(baseline),
        min_reference_dice,
        min_agreement,
        _path(baseline_engine),
        max_slowdown,
    )
    open_reference = functools.partial(engine_from_file.open_engine, Path(reference))
    request = None if clips is None else ClipRequest(Path(clips), _path(live_report))
    return verify_engine(
        Path(engine),
        open_reference,
        Path(data),
        split,
        demands,
        _path(report),
        reference=Path(reference),
        clips=request,
        protocol=_path(protocol),
    )


def verify_clips(
    engine: PathLike,
    *,
    reference: PathLike,
    clips: PathLike,
    live_report: PathLike | None = None,
    report: PathLike | None = None,
    protocol: PathLike | None = None,
) -> ClipVerdict:
    """Prove an engine on clips alone, as `edgeseg verify --clips` without `--data` does.

    Returns:
        The verdict; `passed` is True, False or "undecided". Nothing is raised for an engine that fails.
    """
    open_reference = functools.partial(engine_from_file.open_engine, Path(reference))
    request = ClipRequest(Path(clips), _path(live_report))
    return verify_on_clips(
        Path(engine),
        open_reference,
        request,
        _path(report),
        reference=Path(reference),
        protocol=_path(protocol),
    )


def import_onnx(source: PathLike, *, out: PathLike, data: PathLike | None = None, **options: Any) -> ImportResult:
    """Wrap somebody else's float network into the contract graph, as `edgeseg import-onnx` does.

    Args:
        source: The ONNX file.
        out: The .onnx file to write.
        data: Images for the check against the file as it came.
        options: Fields of `edgeseg.export.foreign.foreign_options.ImportOptions`, such as ``mean`` and ``std``.
    """
    from edgeseg.export.foreign.importing import import_onnx as wrap

    return wrap(Path(source), Path(out), ImportOptions(**options), _path(data))


def _path(given: PathLike | None) -> Path | None:
    return None if given is None else Path(given)
