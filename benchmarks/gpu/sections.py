"""Runs each measurement in a process of its own: one that breaks or hangs costs the others nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu.opening import EngineName, Opening, opening_for
from edgeseg.files import write_text
from edgeseg.proof.timing.conditions import Watch, find_probes
from edgeseg.proof.timing.nvml_probe import gpu_bus_id
from edgeseg.runtime.cuda.driver import CudaDevice

LIMITS_S = {"probe-tensorrt": 120, "probe-tensorrt-rtx": 60, "latency": 75, "throughput": 75, "bandwidth": 75}
LIMITS_S |= {"bench": 75, "soak": 130, "peers": 150}
"""Longest time of each section, its start included. They run in this order; torch.compile, which may take minutes, is
last."""
PROBES: dict[str, EngineName] = {"probe-tensorrt": "tensorrt", "probe-tensorrt-rtx": "tensorrt-rtx"}
ROOT = Path(__file__).parents[2]
Figures = dict[str, Any]


def figures_of(section: str, open_engine: Callable[[], Opening]) -> Figures:
    """Measure one section in this process."""
    if section == "latency":
        from benchmarks.gpu.latency import LatencyPlan, latency_figures

        return latency_figures(open_engine(), LatencyPlan())
    if section == "throughput":
        from benchmarks.gpu.throughput import ThroughputPlan, throughput_figures

        return throughput_figures(open_engine(), ThroughputPlan())
    if section == "bandwidth":
        from benchmarks.gpu.bandwidth import BandwidthPlan, bandwidth_figures

        return bandwidth_figures(BandwidthPlan())
    if section == "bench":
        from benchmarks.gpu.bench import GpuBenchPlan, bench_figures

        return bench_figures(open_engine(), GpuBenchPlan())
    if section == "peers":
        from benchmarks.gpu.peers import PeersPlan, peers_figures

        return peers_figures(open_engine(), PeersPlan())
    from benchmarks.gpu.soak import SoakPlan, soak_figures

    return soak_figures(open_engine(), SoakPlan())


def run_section(section: str, engine: EngineName, package: Path, target: Path) -> None:
    """Measure one section and write its figures, the engine's name and the sensors' readings as JSON."""
    if section in PROBES:
        write_text(target, json.dumps(_probe(PROBES[section], package)))
        return
    opened: list[Opening] = []

    def open_engine() -> Opening:
        opened.append(opening_for(engine, package))
        return opened[0]

    with contextlib.ExitStack() as stack:
        stack.enter_context(CudaDevice())  # current until the last stream and event are gone
        probes = [stack.enter_context(contextlib.closing(probe)) for probe in find_probes(gpu_bus_id())]
        with Watch(probes) as watch:
            figures = figures_of(section, open_engine)
    names = [{"name": opening.name, "stand_in": opening.stand_in} for opening in opened]
    found = {"figures": figures, "engine": names[0] if names else None}
    write_text(target, json.dumps({**found, "conditions": watch.conditions.model_dump(mode="json")}))


def section_apart(section: str, engine: EngineName, package: Path, limit_s: float) -> Figures:
    """The same in a process of its own; ``{"error": ...}`` where it fails or takes too long."""
    with tempfile.TemporaryDirectory(prefix="edgeseg-gpu-") as folder:
        target = Path(folder, "figures.json")
        command = [sys.executable, "-m", "benchmarks.gpu", "--section", section, "--engine", engine]
        command += ["--package", str(package), "--json", str(target)]
        ended = _run(command, Path(folder, "log"), limit_s)
        if ended is None and target.is_file():
            found: Figures = json.loads(target.read_text())
            return found
        return {"error": ended or "it ended without figures"}


def _run(command: list[str], log: Path, limit_s: float) -> str | None:
    """Run a command in a process group of its own, its words also on stderr; why it failed, where it did."""
    start_s = time.monotonic()
    with log.open("wb") as words:
        process = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        try:
            code: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    text = log.read_text(errors="replace")
    sys.stderr.write(text)
    if code == 0:
        return None
    what = f"not done within {limit_s:.0f} s" if code is None else f"exit code {code}"
    return f"{what} after {time.monotonic() - start_s:.0f} s: ...{text[-1500:]}"


def _probe(backend: EngineName, package: Path) -> Figures:
    from benchmarks.gpu.probes import probed
    from benchmarks.gpu.tensorrt_engine import tensorrt_opening

    return asdict(probed(backend, package, tensorrt_opening))
