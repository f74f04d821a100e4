"""Measures this CPU's peaks in the same run: a matrix product, an integer one, a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeseg.artifacts import Precision
from edgeseg.machine.bench.bench_report import Peaks
from edgeseg.optional import require
from edgeseg.runtime.engine.machine import usable_cores

SIDE = 1024
COPY_BYTES = 64 * 2**20
"""Bytes that each core copies: far more than caches hold."""
BUDGET_S = 0.6
"""Seconds for each measurement; the best one counts."""
REPEATS = 3


def cpu_peaks(budget_s: float = BUDGET_S) -> Peaks:
    """Measure them with every usable core; FP16 counts as FP32, which is what ONNX Runtime computes it in.

    Args:
        budget_s: Time for each of the three.
    """
    fp32 = 2 * SIDE**3 / best_seconds(_float_product(), budget_s)
    int8 = 2 * SIDE**3 / best_seconds(_integer_product(), budget_s)
    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        copied = 2 * cores * COPY_BYTES / best_seconds(_copies(pool, cores), budget_s)
    rates: dict[Precision, float] = {"fp32": fp32, "fp16": fp32, "int8": max(int8, fp32)}
    return Peaks(
        operations_per_second=rates,
        bytes_per_second=copied,
        compute_source=f"products of {SIDE}x{SIDE} matrices in this run: numpy float32, ONNX Runtime uint8 x int8",
        memory_source=f"a copy by {cores} thread{'' if cores == 1 else 's'} in this run, reads and writes counted",
    )


def best_seconds(work: Callable[[], object], budget_s: float) -> float:
    """The shortest of at least three runs within a budget, after one that does not count."""
    work()
    over, best, runs = time.perf_counter() + budget_s, float("inf"), 0
    while runs < REPEATS or time.perf_counter() < over:
        started = time.perf_counter()
        work()
        best, runs = min(best, time.perf_counter() - started), runs + 1
    return best


def _float_product() -> Callable[[], object]:
    left, right = np.ones((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.float32)
    result = np.empty((SIDE, SIDE), np.float32)
    return lambda: np.matmul(left, right, out=result)


def _integer_product() -> Callable[[], object]:
    ort = require("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    session = ort.InferenceSession(_integer_graph(), options, providers=["CPUExecutionProvider"])
    feed = {"left": np.full((SIDE, SIDE), 3, np.uint8)}
    return lambda: session.run(None, feed)


def _integer_graph() -> bytes:
    """uint8 activations times constant int8 weights, as a quantised convolution computes."""
    weights = onnx.numpy_helper.from_array(np.full((SIDE, SIDE), 2, np.int8), "right")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right"], ["product"])],
        "peak",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, [SIDE, SIDE])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [SIDE, SIDE])],
        [weights],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    return bytes(model.SerializeToString())


def _copies(pool: ThreadPoolExecutor, cores: int) -> Callable[[], object]:
    pairs = [(np.ones(COPY_BYTES // 8), np.zeros(COPY_BYTES // 8)) for _ in range(cores)]
    return lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
