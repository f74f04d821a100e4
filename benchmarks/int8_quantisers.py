"""Quantises one ONNX file by one tool, in the environment that has the tool; benchmarks/int8_peers.py starts it.

Usage: PYTHON benchmarks/int8_quantisers.py TOOL MODEL.onnx FOLDER OUT.onnx
FOLDER: `frames.npy`, uint8 [N,H,W,3], and `paths.txt`, the files that they were read from, for calibration;
`shown.npy` and `truth.npy`, uint8 [M,H,W,3] and bool [M,H,W], for tools that measure accuracy.
Prints one JSON line: seconds, CPU seconds with the imports, peak memory in MB, the tool's version.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before ONNX Runtime is imported: not every tool's environment has edgeseg
INPUT_NAME = "frame"
AT_ONCE = 4
"""Frames whose activations ONNX Runtime's histogram calibrators hold at the same time; by default all of them."""
DICE_DROP = 0.001
"""The drop of mean Dice that NNCF's accuracy control is allowed."""


def edgeseg(method: str) -> Callable[[Path, Path, Path], None]:
    """Quantise as `build-engine` does for CPUs, and read and resize the pictures, too."""

    def run(model: Path, folder: Path, out: Path) -> None:
        from edgeseg.calibration.qdq_style import cpu_style
        from edgeseg.calibration.quantise import quantise
        from edgeseg.calibration.ranges import calibrate
        from edgeseg.graph.onnx_files import load_onnx, serialize

        artifact = load_onnx(model)
        table = calibrate(
            artifact, [Path(line) for line in (folder / "paths.txt").read_text().splitlines()], method=method
        )
        out.write_bytes(serialize(quantise(artifact, table, cpu_style(table)).proto))

    return run


def onnxruntime(method: str, reduce_range: bool = False) -> Callable[[Path, Path, Path], None]:
    """`quantize_static` after `quant_pre_process`: QDQ, per channel, uint8 activations, the rest as by default."""

    def run(model: Path, folder: Path, out: Path) -> None:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Frames(quantization.CalibrationDataReader):  # type: ignore[misc]
            """The frames in order, a range of them at a time."""

            def __init__(self) -> None:
                self._all = _frames(folder)
                self._left: Iterator[Any] = iter(self._all)

            def __len__(self) -> int:
                return len(self._all)

            def set_range(self, start_index: int, end_index: int) -> None:
                self._left = iter(self._all[start_index:end_index])

            def get_next(self) -> dict[str, Any] | None:
                frame = next(self._left, None)
                return None if frame is None else {INPUT_NAME: frame[np.newaxis]}

        prepared = out.with_suffix(".prepared.onnx")
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            out,
            Frames(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method],
            extra_options={"CalibStridedMinMax": AT_ONCE},
        )

    return run


def modelopt(method: str) -> Callable[[Path, Path, Path], None]:
    """NVIDIA's Model Optimizer: INT8 for TensorRT, the rest float32, calibrated on the CPU."""

    def run(model: Path, folder: Path, out: Path) -> None:
        from modelopt.onnx.quantization import quantize

        quantize(
            str(model),
            "int8",
            calibration_data={INPUT_NAME: np.ascontiguousarray(_frames(folder))},
            calibration_method=method,
            calibration_eps=["cpu"],
            high_precision_dtype="fp32",
            output_path=str(out),
            log_level="WARNING",
        )

    return run


def nncf(accuracy_control: bool) -> Callable[[Path, Path, Path], None]:
    """NNCF's post-training quantisation of ONNX with fast bias correction; its default preset, every frame."""

    def run(model: Path, folder: Path, out: Path) -> None:
        import nncf
        import onnx

        frames = _frames(folder)
        data = nncf.Dataset(frames, lambda frame: {INPUT_NAME: frame[np.newaxis]})
        options: dict[str, Any] = {"subset_size": len(frames), "fast_bias_correction": True}
        network = onnx.load(model)
        if accuracy_control:
            pairs = list(zip(np.load(folder / "shown.npy"), np.load(folder / "truth.npy"), strict=True))
            judged = nncf.Dataset(pairs, lambda pair: {INPUT_NAME: pair[0][np.newaxis]})
            network = nncf.quantize_with_accuracy_control(network, data, judged, _dice, max_drop=DICE_DROP, **options)
        else:
            network = nncf.quantize(network, data, **options)
        onnx.save(network, out)

    return run


TOOLS: dict[str, tuple[str, Callable[[Path, Path, Path], None]]] = {
    **{
        f"edgeseg {method}": ("onnxruntime", edgeseg(method))
        for method in ("max", "percentile", "mse", "entropy", "auto")
    },
    **{f"onnxruntime {name}": ("onnxruntime", onnxruntime(name)) for name in ("MinMax", "Entropy", "Percentile")},
    "onnxruntime MinMax, reduce_range": ("onnxruntime", onnxruntime("MinMax", reduce_range=True)),
    **{f"modelopt {method}": ("nvidia-modelopt", modelopt(method)) for method in ("max", "entropy")},
    "nncf": ("nncf", nncf(accuracy_control=False)),
    "nncf, accuracy control": ("nncf", nncf(accuracy_control=True)),
}
"""Tool -> the distribution whose version is told, and what writes its graph."""


def _frames(folder: Path) -> Any:
    return np.load(folder / "frames.npy", mmap_mode="r")


def _dice(network: Any, data: Any) -> float:
    """The mean Dice of an ONNX network at the network's own size, as NNCF's accuracy control asks for it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = []
    for frame, truth in data:
        mask = session.run(None, {INPUT_NAME: frame[np.newaxis]})[0][0, 0] >= 0.5
        both = int(mask.sum()) + int(truth.sum())
        scores.append(2 * int((mask & truth).sum()) / both if both else 1.0)
    return float(np.mean(scores))


def _peak_mb() -> float:
    """The largest resident memory of this process, which `ru_maxrss` would mix with its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(tool: str, model: Path, folder: Path, out: Path) -> None:
    """Write the graph and tell what it cost."""
    distribution, write = TOOLS[tool]
    started = time.perf_counter()
    write(model, folder, out)
    spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time(), "peak_mb": _peak_mb()}
    print(json.dumps({**spent, "version": f"{distribution} {version(distribution)}"}))


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
