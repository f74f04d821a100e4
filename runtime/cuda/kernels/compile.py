"""The kernels as a fatbin, compiled on this machine by its own nvcc and kept in a cache.

The cache is ``$XDG_CACHE_HOME/edgeseg`` (``~/.cache/edgeseg``); a file's name is the hash of the sources, the flags and
the compiler's version, so nothing in it can be out of date, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.files import UnwritableError, cache_folder, sha256_bytes, write_bytes

SOURCE = Path(__file__).with_name("kernels.cu")
DEFAULT_NVCC = Path("/usr/local/cuda/bin/nvcc")
# Uncompressed: it is small, needs no decompressor in the driver, and shows the kernels' names to the CUDA test double.
FLAGS = ("-std=c++17", "--fatbin", "--no-compress")
CUDA_12_ARCHITECTURES = (75, 80, 86, 87, 89, 90)
CUDA_13_ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 110, 120)
COMPILE_SECONDS = 300

Version = tuple[int, int]


def architectures_for(nvcc_version: Version) -> tuple[int, ...]:
    """The GPU architectures (compute capability times ten) to compile for with a version of nvcc.

    Every CUDA 12 from 12.0 on and every CUDA 13 knows those of its tuple; a GPU between two of them runs the code of
    the lower one of its generation, a newer GPU compiles the PTX of the newest when it loads the kernels.

    Raises:
        MissingComponentError: nvcc is older than CUDA 12.
    """
    if nvcc_version < (12, 0):
        raise MissingComponentError(
            "this nvcc is too old for the kernels",
            found=".".join(map(str, nvcc_version)),
            expected="CUDA 12 or 13",
            next_command="install a CUDA toolkit of 12.6 or later and set CUDA_HOME to it",
        )
    return CUDA_12_ARCHITECTURES if nvcc_version < (13, 0) else CUDA_13_ARCHITECTURES


def find_nvcc() -> Path:
    """The CUDA compiler: of CUDA_HOME, of PATH, or of /usr/local/cuda, whichever is there first.

    Raises:
        MissingComponentError: It is nowhere.
    """
    home = os.environ.get("CUDA_HOME")
    on_path = shutil.which("nvcc")
    candidates = [Path(home, "bin", "nvcc")] if home else []
    candidates += [Path(on_path)] if on_path else []
    candidates += [DEFAULT_NVCC]
    for nvcc in candidates:
        if os.access(nvcc, os.X_OK):
            return nvcc
    raise MissingComponentError(
        "nvcc, the CUDA compiler, is needed to build the kernels",
        found=f"none at {', '.join(map(str, candidates))}",
        next_command="install the CUDA toolkit and set CUDA_HOME (on a Jetson: sudo apt install cuda-toolkit-12-6)",
    )


@cache
def nvcc_version(nvcc: Path) -> Version:
    """Major and minor version of a CUDA compiler.

    Raises:
        MissingComponentError: It does not run, or is something else.
    """
    output = _run([str(nvcc), "--version"])
    match = re.search(r"release (\d+)\.(\d+)", output)
    if match is None:
        raise MissingComponentError(f"{nvcc} is no CUDA compiler", found=output.strip(), expected="release 12 or 13")
    return int(match[1]), int(match[2])


def compiled_kernels(architectures: Sequence[int] | None = None) -> bytes:
    """The fatbin of every kernel, from the cache or compiled now (seconds).

    Args:
        architectures: Compute capabilities times ten, for example ``(87,)``; None takes `architectures_for` this nvcc.

    Raises:
        MissingComponentError: nvcc or its host compiler is missing, too old, or does not know an architecture.
        BadInputError: No architecture was given.
    """
    nvcc = find_nvcc()
    version = nvcc_version(nvcc)
    chosen = architectures_for(version) if architectures is None else tuple(sorted(set(architectures)))
    if not chosen:
        raise BadInputError("no GPU architecture to compile the kernels for", expected="for example 87")
    arguments = [*FLAGS, *code_arguments(chosen)]
    path = cache_folder() / f"kernels-{_key(arguments, version)}.fatbin"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    image = _compile(nvcc, arguments)
    with contextlib.suppress(OSError, UnwritableError):  # a cache that cannot be written costs time, no more
        write_bytes(path, image)
    return image


def code_arguments(architectures: Sequence[int]) -> list[str]:
    """List nvcc's arguments: machine code for each architecture, and PTX of the newest for GPUs that come after it."""
    arguments = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    newest = max(architectures)
    return [*arguments, f"-gencode=arch=compute_{newest},code=compute_{newest}"]


def sources() -> list[Path]:
    """`kernels.cu` and its headers."""
    return sorted([SOURCE, *SOURCE.parent.glob("*.h")])


def _key(arguments: Sequence[str], version: Version) -> str:
    parts = [*arguments, f"nvcc {version[0]}.{version[1]}"]
    parts += [f"{path.name} {sha256_bytes(path.read_bytes())}" for path in sources()]
    return sha256_bytes("\n".join(parts).encode())[:32]


def _compile(nvcc: Path, arguments: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="edgeseg-kernels-") as folder:
        output = Path(folder, "kernels.fatbin")
        _run([str(nvcc), *arguments, "--threads=0", "-o", str(output), str(SOURCE)])
        return output.read_bytes()


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise _unusable(command, (error.stderr or error.stdout).strip()[-2000:]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unusable(command, error) from error
    return done.stdout


def _unusable(command: Sequence[str], found: object) -> MissingComponentError:
    return MissingComponentError(
        f"{command[0]} failed",
        found=found,
        expected="a CUDA toolkit 12 or 13 that knows this GPU, with a host compiler (g++)",
        next_command="mend the CUDA toolkit, or set CUDA_HOME to another one",
    )
