"""Kernel timings that TensorRT keeps between builds: a file for each GPU model and TensorRT version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.files import UnwritableError, cache_folder, write_bytes
from edgeseg.progress import Say
from edgeseg.runtime.passport.gpu import Gpu

if TYPE_CHECKING:
    import tensorrt


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


def keep(cache: tensorrt.ITimingCache, path: Path, say: Say) -> None:
    """Write the timings of a finished build; a place that cannot be written costs time, never the build."""
    try:
        write_bytes(path, bytes(cache.serialize()))
    except (UnwritableError, OSError) as error:
        say(f"timings are not kept: {error}")
