"""Measure the CUDA runtime on this machine's GPU: `python -m benchmarks.gpu`, as `make gpu` does."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, get_args

from benchmarks.gpu.opening import EngineName
from benchmarks.gpu.real_driver import real_gpu
from benchmarks.gpu.results import document_of, write_results
from benchmarks.gpu.sections import LIMITS_S, PROBES, ROOT, run_section, section_apart
from edgeseg.errors import EdgesegError
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import find_model, onnx_of

LIMIT_S = 420.0
LIMIT_NOT_MET = 3


def main(arguments: list[str]) -> int:
    """Exit code: 0 everything measured and every limit met, 1 something not measured, 3 a limit not met, 4 no GPU."""
    options = _parser().parse_args(arguments)
    try:
        if options.section:
            run_section(options.section, options.engine, options.package, options.json)
            return 0
        return _everything(options)
    except EdgesegError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _everything(options: argparse.Namespace) -> int:
    gpu = real_gpu()
    end_s = time.monotonic() + options.limit_s
    artifact = load_onnx(onnx_of(find_model(options.package)))
    engine: EngineName = options.engine or "torch"
    found: dict[str, Any] = {}
    for section, limit_s in LIMITS_S.items():  # the probes first: they choose the engine
        left_s = min(limit_s, end_s - time.monotonic())
        print(f"-- {section}, at most {left_s:.0f} s", file=sys.stderr, flush=True)
        found[section] = (
            section_apart(section, engine, options.package, left_s) if left_s > 1 else {"error": "no time was left"}
        )
        if options.engine is None and engine == "torch" and section in PROBES and found[section].get("runs"):
            engine = PROBES[section]
    model = artifact.metadata.model
    network = f"{options.package.name} {model.width}x{model.height}"
    probes = [_probe_or_error(PROBES[name], found.pop(name)) for name in PROBES]
    lines = write_results(options.out, gpu, document_of(gpu, network, found, probes, options.tests))
    for line in lines:
        print(f"{line.verdict:>12}  {line.name}: {line.figure}" + (f"  (limit {line.limit})" if line.limit else ""))
    print(f"written: {options.out / gpu.slug}.json and .md")
    failed = [name for name, section in found.items() if "error" in section]
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
        return 1
    return LIMIT_NOT_MET if any(line.met is False for line in lines) else 0


def _probe_or_error(backend: str, found: dict[str, Any]) -> dict[str, Any]:
    if "error" not in found:
        return found
    return {"backend": backend, "step": "-", "runs": False, "said": found["error"]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--package", type=Path, default=ROOT / "models" / "kvasir-small", help="the network")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="for everything")
    parser.add_argument("--tests", default="", help="what became of the tests, for the page")
    parser.add_argument("--engine", choices=get_args(EngineName), help="default: the first that runs")
    parser.add_argument("--section", choices=list(LIMITS_S), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
