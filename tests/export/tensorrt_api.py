"""Writes tensorrt_api.json: the names that the bindings of each version have, as far as the builder could use them.

Each line of the file was made by importing the real bindings:

    python tensorrt_api.py tensorrt_rtx             (tensorrt-rtx-cu13 1.7.1.116, installed)
    python tensorrt_api.py tensorrt_bindings        (tensorrt-cu12-bindings 10.3.0 and 10.13.0.35,
                                                     tensorrt-cu13-bindings 11.4.0.106)

The bindings come without TensorRT's libraries. To import them for their names alone, libnvinfer, libnvinfer_plugin and
libnvonnxparser (.so.10 or .so.11) can be empty libraries that define createInferBuilder_INTERNAL and its like.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_suffix(".json")
ENUMS = (
    "NetworkDefinitionCreationFlag",
    "BuilderFlag",
    "MemoryPoolType",
    "HardwareCompatibilityLevel",
    "ComputeCapability",
    "LayerInformationFormat",
    "ProfilingVerbosity",
)
CLASSES = (
    "Builder",
    "EngineInspector",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "ILogger",
    "IOptimizationProfile",
    "IProfiler",
    "IProgressMonitor",
    "ITimingCache",
    "OnnxParser",
    "ParserError",
    "Runtime",
)


def names_of(module: Any) -> dict[str, list[str]]:
    """Class or enumeration -> its public names; absent where the module has none."""
    enums = {name: sorted(getattr(module, name).__members__) for name in ENUMS if hasattr(module, name)}
    classes = {
        name: [attribute for attribute in dir(getattr(module, name)) if not attribute.startswith("_")]
        for name in CLASSES
        if hasattr(module, name)
    }
    return enums | classes


if __name__ == "__main__":
    imported = importlib.import_module(sys.argv[1])
    key = f"{sys.argv[1].removesuffix('_bindings')} {imported.__version__}"
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    golden[key] = names_of(imported)
    lines = [f"  {json.dumps(name)}: {json.dumps(golden[name])}" for name in sorted(golden)]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
