"""Writes the stubs beside this file: names and signatures of TensorRT's bindings, by which edgeseg's calls are checked.

The only published stubs, `tensorrt-stubs` (MIT, sync.dev), are of 10.8 to 10.13 and no valid Python as they come: mypy
stops at `IPluginV2DynamicExt.get_workspace_size(self, in: ...)` and at `INetworkDefinition.add_scale_nd` (a parameter
without a default behind ones with). JetPack 6 has 10.3, and NVIDIA's wheels of 10.x, 11.x and TensorRT-RTX bring no
stubs: theirs are read from the bindings themselves by pybind11-stubgen. All are reduced to the classes in `KEPT`,
without descriptions:

    pip download --no-deps tensorrt-stubs==10.13.0.35.1      (unpacked)
    python reduce.py tensorrt_bindings/tensorrt.pyi 10.13.0.35 tensorrt
    python -m pybind11_stubgen --ignore-all-errors -o OUT tensorrt_bindings.tensorrt      (tests/export/tensorrt_api.py
    python reduce.py OUT/tensorrt_bindings/tensorrt.pyi 11.4.0.106 tensorrt                says how to import them)
    python -m pybind11_stubgen --ignore-all-errors -o OUT tensorrt_rtx_bindings.tensorrt_rtx
    python reduce.py OUT/tensorrt_rtx_bindings/tensorrt_rtx.pyi rtx-1.7.1.116 tensorrt_rtx
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

KEPT = (
    "Builder",
    "BuilderFlag",
    "ComputeCapability",
    "EngineInspector",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProfiler",
    "IProgressMonitor",
    "ITimingCache",
    "LayerInformationFormat",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "OnnxParserRefitter",
    "ParserError",
    "ProfilingVerbosity",
    "Refitter",
    "Runtime",
)
CORRECTIONS = {
    # pybind11 takes any sequence of numbers where the bindings say Dims.
    r"class Dims: \.\.\.": "Dims = collections.abc.Sequence[int]",
    # It supports the buffer protocol, which only one of the stubs says, and without types.
    r"(class IHostMemory:\n)": r"\1    def __buffer__(self, flags: int, /) -> memoryview: ...",
    # What TensorRT hands to these is a number; the stub speaks as if it took one.
    r"((?:num_steps|step): )typing\.SupportsInt": r"\1int",
    r"(ms: )typing\.SupportsFloat": r"\1float",
    # An ellipsis stands for a class that the bindings declare later.
    r"(get_error\(.*) -> \.\.\.:": r"\1 -> ParserError:",
    r"(: |-> )\.\.\.(?=[,):=\n])(?!\n)": r"\1typing.Any",
}
"""The stubs are wrong here; the bindings do this."""
OPAQUE = ("INetworkDefinition",)
"""Kept for its name alone."""
SPECIAL = ("__init__", "__int__", "__index__", "__le__")
TOP_LEVEL_CLASS = re.compile(r"^class (\w+).*\n(?:[ \t].*\n|\n)*", re.MULTILINE)
IMPORTABLE = frozenset({"collections.abc", "numpy", "typing", "typing_extensions"})
HEAD = "# Names and signatures read from {version} by reduce.py. Do not edit.\n"


def reduced(text: str, version: str) -> str:
    """The stub of the classes in `KEPT`; any other class that they name is there without members."""
    blocks = {match[1]: match[0] for match in TOP_LEVEL_CLASS.finditer(text)}
    classes = {name: ast.parse(blocks[name]).body[0] for name in KEPT if name in blocks and name not in OPAQUE}
    kept = [_without_words(node) for node in classes.values()]
    named = {node.id for item in kept for node in ast.walk(item) if isinstance(node, ast.Name)}
    others = [ast.parse(f"class {name}: ...").body[0] for name in sorted(named & blocks.keys() - classes.keys())]
    modules = sorted({"collections.abc", *_modules(kept)} & IMPORTABLE)
    imports = [ast.parse(f"import {name}").body[0] for name in modules]
    body = [*imports, *ast.parse("__version__: str").body, *others, *kept]
    stub = ast.unparse(ast.Module([*ast.parse("from __future__ import annotations").body, *body], []))
    stub = re.sub(r":\n +\.\.\.\n+", ": ...\n", stub + "\n")
    for wrong, right in CORRECTIONS.items():
        stub = re.sub(wrong, right, stub)
    return HEAD.format(version=version) + stub


def _modules(nodes: list[ast.stmt]) -> set[str]:
    """The modules that annotations speak of."""
    return {ast.unparse(node.value) for item in nodes for node in ast.walk(item) if isinstance(node, ast.Attribute)}


def _without_words(node: ast.stmt) -> ast.stmt:
    for item in ast.walk(node):
        if isinstance(item, ast.ClassDef | ast.FunctionDef):
            words = [part for part in item.body if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)]
            others = [part for part in item.body if part not in words and not _is_special(part)]
            item.body = others or ast.parse("...").body
    return node


def _is_special(part: ast.stmt) -> bool:
    """Tell whether this is one of Python's own methods that the builder has no use for."""
    return isinstance(part, ast.FunctionDef) and part.name.startswith("__") and part.name not in SPECIAL


if __name__ == "__main__":
    source, version, module = sys.argv[1:]
    out = Path(__file__).parent / version / module / "__init__.pyi"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(reduced(Path(source).read_text(), f"{module} {version}"))
