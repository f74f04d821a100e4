"""Kernel timings that TensorRT keeps between builds: a file for each GPU model and TensorRT version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.artifacts import EngineArtifact, KernelTimings
from edgeseg.files import UnwritableError, cache_folder, sha256_file, write_bytes
from edgeseg.progress import Say
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule
from edgeseg.runtime.passport.gpu import Gpu

if TYPE_CHECKING:
    import tensorrt

CHOSEN_ANEW = "tactics are chosen anew, so the engine may be another than the passport's"


def timing_cache_path(backend: str, version: str, gpu: Gpu) -> Path:
    """``$XDG_CACHE_HOME/edgeseg/timing/tensorrt-10.3.0-orin-sm87.cache``, or below ``~/.cache``."""
    model = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")
    capability = gpu.compute_capability.replace(".", "")
    return cache_folder() / "timing" / f"{backend}-{version}-{model}-sm{capability}.cache"


def attach(config: tensorrt.IBuilderConfig, path: Path, say: Say) -> tensorrt.ITimingCache:
    """Give a builder config the kept timings; a file that TensorRT refuses is started again.

    Returns:
        The cache: it must outlive the build.
    """
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    cache = config.create_timing_cache(kept)
    if cache is not None and config.set_timing_cache(cache, False):
        return cache
    say(f"the kept timings {path} do not fit here and are started again")
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, False)
    return cache


def may_pin(trt: TensorRtModule, path: Path, former: EngineArtifact, say: Say) -> bool:
    """Say whether a repeated build can hold to the tactics of the former one, and tell the person.

    Args:
        trt: The module that builds.
        path: The kept timings of this TensorRT on this GPU.
        former: The passport of the build that is repeated.
        say: Hears where tactics come from.
    """
    if former.timings is None:
        why = "the passport records no kernel timings"
    elif former.timings.file != path.name:
        why = f"the passport's timings, {former.timings.file}, are of another TensorRT or GPU"
    elif not path.is_file():
        why = f"the passport's timings are no longer at {path}"
    elif _miss_flag(trt) is None:
        why = f"TensorRT {trt.__version__} cannot be held to kept timings"
    else:
        since = "" if sha256_file(path) == former.timings.sha256 else ", which other builds have written to since"
        say(f"tactics are taken from the kept timings {path}{since}")
        return True
    say(f"{CHOSEN_ANEW}: {why}")
    return False


def pin(trt: TensorRtModule, config: tensorrt.IBuilderConfig) -> None:
    """Let the build fail where the attached timings lack a kernel, instead of timing it, once `may_pin` said yes."""
    config.set_flag(_miss_flag(trt))


def recorded(path: Path) -> KernelTimings | None:
    """The kept timings as a passport records them; None where they could not be kept."""
    return KernelTimings(file=path.name, sha256=sha256_file(path)) if path.is_file() else None


def _miss_flag(trt: TensorRtModule) -> Any:
    return getattr(trt.BuilderFlag, "ERROR_ON_TIMING_CACHE_MISS", None)


def keep(cache: tensorrt.ITimingCache, path: Path, say: Say) -> None:
    """Write the timings of a finished build; a place that cannot be written costs time, never the build."""
    try:
        write_bytes(path, bytes(cache.serialize()))
    except (UnwritableError, OSError) as error:
        say(f"timings are not kept: {error}")
