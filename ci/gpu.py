"""The one command of a GPU: install what is missing, test, measure, write the figures. `make gpu`; needs only python3.

Everything goes below .gpu/ (ignored by git): what is installed, caches, the log. With wheels in wheels/ (`make
gpu-wheels`) no network is needed. Every step has a time limit, and a step that fails does not keep the next from
running. With OUT set, log and results are copied there too.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from gpu_packages import Packages, cuda_home

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".gpu"
LOG = WORK / "gpu.log"
JUNIT = WORK / "tests.xml"
RESULTS = ROOT / "benchmarks" / "results"
LIMIT_S = 570.0
TESTS_LIMIT_S = 240.0
BENCHMARKS_LEAST_S = 60.0
LIMIT_NOT_MET, NO_GPU_EXIT_CODE = 3, 4


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, or 1 where anything failed, 3 where all ran and a limit was not met, 4 without a GPU."""
    options = _parser().parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    LOG.write_text("")
    end_s = time.monotonic() + options.limit_s
    no_gpu = _no_gpu()
    if no_gpu and not options.rehearse:
        _say(f"make gpu needs an NVIDIA GPU: {no_gpu}")
        return NO_GPU_EXIT_CODE
    packages = Packages(WORK, [Path(folder).resolve() for folder in options.wheels], _step)
    failed = [] if packages.install() else ["install"]
    failed += [] if packages.pycuda() else ["pycuda"]
    tests = [sys.executable, "-m", "pytest", "tests/gpu", "-m", "gpu", "-q", "-rs", "--durations=10"]
    tests += ["-p", "no:cacheprovider", "--timeout=120", f"--junitxml={JUNIT}"]
    JUNIT.unlink(missing_ok=True)
    if _step("tests", tests, min(TESTS_LIMIT_S, end_s - time.monotonic() - BENCHMARKS_LEAST_S)):
        failed.append("tests")
    summary = _test_summary(JUNIT)
    left_s = end_s - time.monotonic() - 10
    measure = [sys.executable, "-m", "benchmarks.gpu", "--limit-s", f"{left_s - 10:.0f}", "--tests", summary]
    measure += ["--out", str(RESULTS)]
    measured = _step("benchmarks", measure, left_s)
    if measured not in (0, LIMIT_NOT_MET):
        failed.append("benchmarks")
    _say(f"tests: {summary}")
    _say(
        f"{options.limit_s - (end_s - time.monotonic()):.0f} s; "
        + (f"FAILED: {', '.join(failed)}" if failed else "all done, a limit NOT MET" if measured else "all done")
    )
    _hand_over(os.environ.get("OUT"))
    return 1 if failed else measured


def _no_gpu() -> str | None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return str(error)
    code = driver.cuInit(0)
    return f"cuInit fails with {code}" if code else None


def _step(name: str, command: Sequence[str], limit_s: float, **more: str) -> int:
    """Run a command in a process group of its own, its words here and in the log; its exit code, 124 past the limit."""
    _say(f"== {name} (at most {limit_s:.0f} s)")
    start_s = time.monotonic()
    if limit_s <= 0:
        _say(f"== {name}: no time was left")
        return 124
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=_environment() | more, start_new_session=True
        )
        code = 124
        position = log.tell()
        try:
            while time.monotonic() - start_s < limit_s:
                position = _echo(position)
                try:
                    code = process.wait(0.5)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:  # also where this process is interrupted
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
    _echo(position)
    _say(
        f"== {name}: "
        + ("not done in time" if code == 124 else f"exit code {code}")
        + f", {time.monotonic() - start_s:.0f} s"
    )
    return code


def _environment() -> dict[str, str]:
    path = [str(Packages(WORK, [], _step).site), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PATH": os.pathsep.join([str(Path(cuda_home(), "bin")), os.environ.get("PATH", "")]),
        "CUDA_HOME": cuda_home(),
        "XDG_CACHE_HOME": str(WORK / "cache"),
        "EDGESEG_REQUIRE_GPU": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def _echo(position: int) -> int:
    with LOG.open("rb") as log:
        log.seek(position)
        data = log.read()
    sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()
    return position + len(data)


def _say(words: str) -> None:
    print(words, flush=True)
    with LOG.open("a") as log:
        log.write(words + "\n")


def _test_summary(junit: Path) -> str:
    """Counts of pytest's report, in a line."""
    try:
        suite = ElementTree.parse(junit).getroot().find("testsuite")
        counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}  # type: ignore[union-attr]
    except (OSError, ElementTree.ParseError, AttributeError):
        return "no report: they ended early"
    bad = counts["failures"] + counts["errors"]
    return f"{counts['tests'] - bad - counts['skipped']} passed, {bad} failed, {counts['skipped']} skipped"


def _hand_over(out: str | None) -> None:
    if not out:
        return
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    for path in [LOG, JUNIT, *sorted(RESULTS.glob("*.json")), *sorted(RESULTS.glob("*.md"))]:
        if path.is_file() and path.name != "README.md":
            shutil.copy(path, target / path.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="for everything")
    parser.add_argument("--wheels", nargs="*", default=[ROOT / "wheels"], help="folders of what was brought along")
    parser.add_argument(
        "--rehearse", action="store_true", help="go on without a GPU, to try the steps before it is there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
