"""The one command of a GPU: install what is missing, test, measure, write the figures. `make gpu`; needs only python3.

Everything goes below .gpu/ (ignored by git): what is installed, caches, the log. With wheels in wheels/ (`make
gpu-wheels`) no network is needed. Every step has a time limit, and a step that fails does not keep the next from
running. With OUT set, log and results are copied there too.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".gpu"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
SITE = WORK / f"site-{TAG}"
BUILT = WORK / f"wheels-{TAG}"
LOG = WORK / "gpu.log"
JUNIT = WORK / "tests.xml"
RESULTS = ROOT / "benchmarks" / "results"
LIMIT_S = 570.0
INSTALL_LIMIT_S, PYCUDA_LIMIT_S, TESTS_LIMIT_S = 90.0, 300.0, 240.0
BENCHMARKS_LEAST_S = 60.0
NO_GPU_EXIT_CODE = 4
PYCUDA = "pycuda==2026.1"
NEEDED = {
    "annotated_types": "annotated-types",
    "cuda.bindings": "cuda-bindings",
    "cv2": "opencv-python-headless",
    "hypothesis": "hypothesis",
    "jinja2": "jinja2",
    "mako": "mako",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "platformdirs": "platformdirs",
    "pydantic": "pydantic",
    "pynvml": "nvidia-ml-py",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "pytools": "pytools",
    "rich": "rich",
    "typer": "typer",
}
"""Import name to distribution, of what tests and benchmarks need beside pycuda; torch is used where it is."""


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, or 1 where anything failed, or 4 without a GPU."""
    options = _parser().parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    LOG.write_text("")
    end_s = time.monotonic() + options.limit_s
    no_gpu = _no_gpu()
    if no_gpu and not options.rehearse:
        _say(f"make gpu needs an NVIDIA GPU: {no_gpu}")
        return NO_GPU_EXIT_CODE
    failed = [] if _installed() else ["install"]
    failed += [] if _pycuda_loads() or _pycuda_built() else ["pycuda"]
    tests = [sys.executable, "-m", "pytest", "tests/gpu", "-m", "gpu", "-q", "-rs", "--durations=10"]
    tests += ["-p", "no:cacheprovider", "--timeout=120", f"--junitxml={JUNIT}"]
    JUNIT.unlink(missing_ok=True)
    if _step("tests", tests, min(TESTS_LIMIT_S, end_s - time.monotonic() - BENCHMARKS_LEAST_S)):
        failed.append("tests")
    summary = _test_summary(JUNIT)
    left_s = end_s - time.monotonic() - 10
    measure = [sys.executable, "-m", "benchmarks.gpu", "--limit-s", f"{left_s - 10:.0f}", "--tests", summary]
    measure += ["--out", str(RESULTS)]
    if _step("benchmarks", measure, left_s):
        failed.append("benchmarks")
    _say(f"tests: {summary}")
    _say(
        f"{options.limit_s - (end_s - time.monotonic()):.0f} s; "
        + (f"FAILED: {', '.join(failed)}" if failed else "all done")
    )
    _hand_over(os.environ.get("OUT"))
    return 1 if failed else 0


def _no_gpu() -> str | None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return str(error)
    code = driver.cuInit(0)
    return f"cuInit fails with {code}" if code else None


def _installed() -> bool:
    """Whether everything is there, from wheels/ without a network, else what is missing from the package index."""
    wheels = compatible(path.name for path in (ROOT / "wheels").glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--upgrade", "--target", str(SITE)]
    if wheels:
        paths = [str(ROOT / "wheels" / name) for name in wheels]
        return _step("install", [*pip, "--no-index", "--no-deps", *paths], INSTALL_LIMIT_S) == 0
    missing = [package for module, package in NEEDED.items() if not _is_there(module)]
    if not missing or SITE.is_dir():
        return True
    held = WORK / "held.txt"  # what the machine has stays what it is: its torch or TensorRT was built for it
    held.write_text("".join(f"{name}=={version}\n" for name, version in _versions(NEEDED.values())))
    return _step("install", [*pip, "--constraint", str(held), *missing], INSTALL_LIMIT_S) == 0


def compatible(names: Iterable[str]) -> list[str]:
    """The wheels that this Python can use, by their names."""
    return sorted(name for name in names if f"-{TAG}-{TAG}-" in name or "-abi3-" in name or "-none-any" in name)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _versions(packages: Iterable[str]) -> list[tuple[str, str]]:
    found = []
    for package in packages:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _pycuda_loads() -> bool:
    return _step("pycuda loads", [sys.executable, "-c", "import pycuda.driver"], 60) == 0


def _pycuda_built() -> bool:
    """Build pycuda with this machine's nvcc and driver, or take what was built before; whether it loads then."""
    pip = [sys.executable, "-m", "pip"]
    if not list(BUILT.glob("pycuda-*.whl")):
        sources = sorted((ROOT / "wheels").glob("pycuda-*.tar.gz"))
        wanted = (
            ["--no-index", "--no-build-isolation", str(sources[-1])] if sources else ["--no-binary", "pycuda", PYCUDA]
        )
        home = _pycuda_settings()
        build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(BUILT), *wanted]
        if _step("build pycuda", build, PYCUDA_LIMIT_S, HOME=str(home)):
            return False
    wheels = [str(path) for path in BUILT.glob("pycuda-*.whl")]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", "--upgrade", "--target", str(SITE), *wheels]
    return _step("install pycuda", install, INSTALL_LIMIT_S) == 0 and _pycuda_loads()


def _pycuda_settings() -> Path:
    """A home folder with what pycuda's build reads: where CUDA and the driver are, and what it shall leave out."""
    home, libraries = WORK / "pycuda-home", WORK / "driver"
    for folder in (home, libraries):
        folder.mkdir(exist_ok=True)
    driver = _driver_library()
    link = libraries / "libcuda.so"
    link.unlink(missing_ok=True)
    if driver:
        link.symlink_to(driver)
    lines = [
        "USE_SHIPPED_BOOST = True",
        f"CUDA_ROOT = {_cuda_home()!r}",
        "CUDA_ENABLE_GL = False",
        "CUDA_ENABLE_CURAND = False",
        f"CUDADRV_LIB_DIR = [{str(libraries)!r}]",
        'CUDADRV_LIBNAME = ["cuda"]',
        'CXXFLAGS = ["-O1", "-g0", "-w"]',
    ]
    (home / ".aksetup-defaults.py").write_text("\n".join(lines) + "\n")
    return home


def _driver_library() -> str | None:
    """The file of the driver that this process has loaded, else the toolkit's stub."""
    try:
        ctypes.CDLL("libcuda.so.1")
        for line in Path("/proc/self/maps").read_text().splitlines():
            if "libcuda.so" in line:
                return line.split(maxsplit=5)[5]
    except OSError:
        pass
    stub = Path(_cuda_home(), "lib64", "stubs", "libcuda.so")
    return str(stub) if stub.exists() else None


def _cuda_home() -> str:
    return os.environ.get("CUDA_HOME") or "/usr/local/cuda"


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
    path = [str(SITE), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PATH": os.pathsep.join([str(Path(_cuda_home(), "bin")), os.environ.get("PATH", "")]),
        "CUDA_HOME": _cuda_home(),
        "XDG_CACHE_HOME": str(WORK / "cache"),
        "EDGESEG_REQUIRE_GPU": "1",
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
    parser.add_argument(
        "--rehearse", action="store_true", help="go on without a GPU, to try the steps before it is there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
