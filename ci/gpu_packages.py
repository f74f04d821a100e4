"""Installs what `make gpu` needs beside Python, CUDA and the driver: from wheels brought along, else from the index.

Nothing that the machine has is replaced: its torch, its TensorRT and what they need were built for it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
PYCUDA = "pycuda==2026.1"
INSTALL_LIMIT_S, PYCUDA_LIMIT_S, LOAD_LIMIT_S = 90.0, 300.0, 60.0
CUDA_13 = 13000
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
    "psutil": "psutil",
    "pydantic": "pydantic",
    "pynvml": "nvidia-ml-py",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "pytools": "pytools",
    "rich": "rich",
    "simplejpeg": "simplejpeg",
    "typer": "typer",
}
"""Import name to distribution, of what tests and benchmarks need beside pycuda; torch is used where it is."""
Step = Callable[..., int]
"""Runs ``(name, command, limit_s, **environment)`` and gives its exit code."""


@dataclass(frozen=True)
class Packages:
    """Brings everything into one folder.

    Args:
        work: The folder to keep it in.
        wheels: Folders of wheels and of pycuda's source.
        step: Runs pip.
    """

    work: Path
    wheels: Sequence[Path]
    step: Step

    @property
    def site(self) -> Path:
        """The folder; first on PYTHONPATH."""
        return self.work / f"site-{TAG}"

    def install(self) -> bool:
        """Install everything but pycuda; True if all of it is there in the end."""
        wheels = self._brought()
        if wheels and self.step("install wheels", [*self._pip, "--no-index", "--no-deps", *wheels], INSTALL_LIMIT_S):
            return False
        sys.path.insert(0, str(self.site))
        importlib.invalidate_caches()
        missing = [package for module, package in NEEDED.items() if not is_there(module)]
        if not missing:
            return True
        held = self.work / "held.txt"
        held.write_text("".join(f"{name}=={version}\n" for name, version in versions(NEEDED.values())))
        wanted = [cuda_bindings_for(driver_cuda()) if name == "cuda-bindings" else name for name in missing]
        offline = ["--retries", "1", "--timeout", "10", "--constraint", str(held)]
        return self.step(f"install {' '.join(missing)}", [*self._pip, *offline, *wanted], INSTALL_LIMIT_S) == 0

    def pycuda(self) -> bool:
        """Make pycuda load, as it is or built once with this machine's nvcc; True if it does."""
        if self._pycuda_loads():
            return True
        built = self.work / f"wheels-{TAG}"
        if not list(built.glob("pycuda-*.whl")):
            sources = sorted(path for folder in self.wheels for path in folder.glob("pycuda-*.tar.gz"))
            offline = ["--no-index", "--no-build-isolation", str(sources[-1])] if sources else []
            build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built)]
            build += offline or ["--no-binary", "pycuda", PYCUDA]
            if self.step("build pycuda", build, PYCUDA_LIMIT_S, HOME=str(self._pycuda_settings())):
                return False
        wheel = [str(path) for path in built.glob("pycuda-*.whl")]
        install = [*self._pip, "--no-index", "--no-deps", *wheel]
        return self.step("install pycuda", install, INSTALL_LIMIT_S) == 0 and self._pycuda_loads()

    @property
    def _pip(self) -> list[str]:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--upgrade"]
        return [*pip, "--target", str(self.site)]

    def _brought(self) -> list[str]:
        paths = {path.name: path for folder in self.wheels for path in folder.glob("*.whl")}
        return [str(paths[name]) for name in compatible(paths)]

    def _pycuda_loads(self) -> bool:
        return self.step("pycuda loads", [sys.executable, "-c", "import pycuda.driver"], LOAD_LIMIT_S) == 0

    def _pycuda_settings(self) -> Path:
        """A home folder with what pycuda's build reads: where CUDA and the driver are, and what it shall leave out."""
        home, libraries = self.work / "pycuda-home", self.work / "driver"
        for folder in (home, libraries):
            folder.mkdir(exist_ok=True)
        driver = _driver_library()
        link = libraries / "libcuda.so"
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(driver)
        lines = [
            "USE_SHIPPED_BOOST = True",
            f"CUDA_ROOT = {cuda_home()!r}",
            "CUDA_ENABLE_GL = False",
            "CUDA_ENABLE_CURAND = False",
            f"CUDADRV_LIB_DIR = [{str(libraries)!r}]",
            'CUDADRV_LIBNAME = ["cuda"]',
            'CXXFLAGS = ["-O1", "-g0", "-w"]',
        ]
        (home / ".aksetup-defaults.py").write_text("\n".join(lines) + "\n")
        return home


def compatible(names: Iterable[str], machine: str = platform.machine()) -> list[str]:
    """The wheels that this Python can use on this machine, by their names (PEP 427)."""
    usable = []
    for name in names:
        python, abi, where = name.removesuffix(".whl").split("-")[-3:]
        for_python = abi == TAG or abi == "abi3" or (abi == "none" and "py3" in python.split("."))
        if for_python and (where == "any" or where.endswith(f"_{machine}")):
            usable.append(name)
    return sorted(usable)


def cuda_bindings_for(cuda: int | None) -> str:
    """The cuda-bindings of a driver's CUDA, 12060 being 12.6; JetPack 6 has that. Of an unknown one, the newest."""
    return "cuda-bindings>=12.6,<13" if cuda is not None and cuda < CUDA_13 else "cuda-bindings>=13,<14"


def driver_cuda() -> int | None:
    """The CUDA version of this machine's driver; None without one."""
    version = ctypes.c_int()
    try:
        refused = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return None
    return None if refused else version.value


def is_there(module: str) -> bool:
    """Tell whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def versions(packages: Iterable[str]) -> list[tuple[str, str]]:
    """List the versions of those packages that are installed."""
    found = []
    for package in packages:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cuda_home() -> str:
    """The toolkit's folder."""
    return os.environ.get("CUDA_HOME") or "/usr/local/cuda"


def _driver_library() -> str | None:
    """The file of the driver that this process has loaded, else the toolkit's stub."""
    try:
        ctypes.CDLL("libcuda.so.1")
        for line in Path("/proc/self/maps").read_text().splitlines():
            if "libcuda.so" in line:
                return line.split(maxsplit=5)[5]
    except OSError:
        pass
    stub = Path(cuda_home(), "lib64", "stubs", "libcuda.so")
    return str(stub) if stub.exists() else None
