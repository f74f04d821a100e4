"""Switches off what other packages would write or send unasked, before any of them is imported.

`import edgeseg` calls `settle_environment`, so it holds for the library, for every command and, by the environment that
they inherit, for every process that these start. A program that imports onnxruntime itself imports edgeseg first:
onnxruntime reads its variable once, when it is loaded.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ENFORCED = {"ORT_DISABLE_TELEMETRY": "1"}
"""Set whatever the user has set: onnxruntime takes "0" and "" as leave to write below ~/.cache/Microsoft and to look up
its maker's collector, and the promise that nothing leaves the box has no exception."""
RAY_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Set likewise: Ray takes anything else as leave to report its use."""
RAY_HERE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_worker_niceness": "0",
}
"""Settings for a Ray that this machine alone uses, before it is imported: it listens on 127.0.0.1 on Linux, too, where
it would else listen on all addresses, whatever address it is given; copies no working folder; and leaves its workers
the priority that the user has given the command."""
SCRATCH = {
    "GST_REGISTRY": "gstreamer/registry.bin",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
}
"""GStreamer's list of plug-ins, matplotlib's of fonts and torch's compiled code, in one scratch folder that ends with
this process. A place that the user has chosen is kept to: files there were asked for."""
CUDA_CACHE = "CUDA_CACHE_PATH"
"""Names the folder where the CUDA driver keeps what it compiles: edgeseg's cache, not ~/.nv, unless the user chose
one."""
OPENVINO_TELLS = ("openvino.tools.ovc", "openvino_telemetry")
"""OpenVINO's converter, which is imported with it, and what the converter sends by."""


def settle_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Say by environment variables what other packages may do; nothing is imported and no folder is made.

    Args:
        environment: Changed in place; this process's own, which its children inherit.
    """
    environment.update(ENFORCED | RAY_QUIET)
    home_cache = os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118  pathlib would slow the import
    cache = environment.get("XDG_CACHE_HOME") or home_cache
    environment.setdefault(CUDA_CACHE, f"{cache}/edgeseg/cuda")
    missing = {variable: folder for variable, folder in SCRATCH.items() if not environment.get(variable)}
    if not missing:
        return
    # Nobody can guess the name, so nobody can have put code there for torch to load.
    scratch = f"{environment.get('TMPDIR') or '/tmp'}/edgeseg-{os.urandom(12).hex()}"
    environment.update({variable: f"{scratch}/{folder}" for variable, folder in missing.items()})
    atexit.register(_remove, scratch, os.getpid())


@contextlib.contextmanager
def without_system_fonts() -> Iterator[None]:
    """Import matplotlib inside: fc-list, by which it looks for fonts, would write fontconfig's caches.

    matplotlib brings the font that our plots use.
    """
    with _set("PATH", os.devnull):  # no program is found
        yield


@contextlib.contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Import openvino inside: it imports its converter, which we do not use, and which tells Google Analytics.

    It writes a client's id below ~/intel and sends an event for the import, unasked, and no environment variable stops
    it. A program that imports openvino before edgeseg does has sent it already.
    """
    absent = [name for name in OPENVINO_TELLS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def without_cloud_requests(home: Path) -> Iterator[None]:
    """Start Ray inside, with an empty file of its own for a cluster's settings.

    Where there is none in the home, one of its processes asks the metadata services of three clouds who runs this
    machine, although it is told to report nothing. Ray's processes keep the folder as their home.

    Args:
        home: An empty folder, which stands for the home meanwhile.
    """
    (home / "ray_bootstrap_config.yaml").write_text("{}\n")
    with _set("HOME", str(home)):
        yield


@contextlib.contextmanager
def _set(variable: str, value: str) -> Iterator[None]:
    former = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if former is None:
            del os.environ[variable]
        else:
            os.environ[variable] = former


def _remove(scratch: str, owner: int) -> None:
    if os.getpid() == owner:  # a fork must leave it to its parent
        shutil.rmtree(scratch, ignore_errors=True)
