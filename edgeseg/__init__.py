"""edgeseg: from polyp images to a measured, checked, real-time segmentation engine on an edge GPU.

What every stage shares lives here (values, errors, files, frame mathematics, data, metrics); the stages
themselves are `edgeseg.train`, `edgeseg.export`, `edgeseg.calibration` and `edgeseg.runtime`.
Research use only: edgeseg is no medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeseg.third_parties import settle_environment

if TYPE_CHECKING:
    from edgeseg.interface import OpenEngine, build_engine, import_onnx, open_engine, verify, verify_clips

__version__ = "0.1.0"
__all__ = ["OpenEngine", "__version__", "build_engine", "import_onnx", "open_engine", "verify", "verify_clips"]

settle_environment()


def __getattr__(name: str) -> Any:
    """Load the Python interface when one of its names is used: `import edgeseg` stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'edgeseg' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("edgeseg.interface"), name)
