"""The builder options of TensorRT and TensorRT-RTX as flags of `edgeseg build-engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from edgeseg.export.builders.tensorrt_options import TensorRtOptions

PANEL = "TensorRT and TensorRT-RTX"

MinBatch = Annotated[
    int | None, typer.Option(min=1, help="Smallest batch that the engine takes; default 1.", rich_help_panel=PANEL)
]
OptBatch = Annotated[
    int | None,
    typer.Option(min=1, help="Batch size to choose kernels for; default the smallest.", rich_help_panel=PANEL),
]
MaxBatch = Annotated[
    int | None, typer.Option(min=1, help="Largest batch that the engine takes; default 8.", rich_help_panel=PANEL)
]
WorkspaceMib = Annotated[
    int | None,
    typer.Option(min=1, help="Scratch memory that a layer may take, in MiB; default 1024.", rich_help_panel=PANEL),
]
HardwareCompatible = Annotated[
    Literal["same-compute-capability", "ampere-plus"] | None,
    typer.Option(
        help="tensorrt: other GPU models that the engine may run on; slower, and not on a Jetson.",
        rich_help_panel=PANEL,
    ),
]
VersionCompatible = Annotated[
    bool,
    typer.Option(
        "--version-compatible",
        help="tensorrt: the engine also runs on later versions of the same major version; slower.",
        rich_help_panel=PANEL,
    ),
]
ComputeCapabilities = Annotated[
    str | None,
    typer.Option(
        help="tensorrt-rtx: GPUs to build for, separated by commas; default 8.6,8.9,12.0.",
        rich_help_panel=PANEL,
    ),
]

NAMES = (
    "min_batch",
    "opt_batch",
    "max_batch",
    "workspace_mib",
    "hardware_compatible",
    "version_compatible",
    "compute_capabilities",
)
"""The parameters of the command that are flags of this file."""


def tensorrt_options(flags: dict[str, Any]) -> TensorRtOptions | None:
    """The options that were asked for; None where no flag was given.

    Args:
        flags: The command's parameters by name; those in `NAMES` are read.
    """
    from edgeseg.export.builders.tensorrt_options import LARGEST_BATCH, MIB, TensorRtOptions

    given = {name: flags[name] for name in NAMES if flags[name] not in (None, False)}
    if not given:
        return None
    smallest = given.get("min_batch", 1)
    usual = given.get("opt_batch", smallest)
    changed: dict[str, Any] = {"batch": (smallest, usual, given.get("max_batch", max(usual, LARGEST_BATCH)))}
    if "workspace_mib" in given:
        changed["workspace_bytes"] = given["workspace_mib"] * MIB
    if "hardware_compatible" in given:
        changed["hardware_compatibility"] = given["hardware_compatible"]
    if "compute_capabilities" in given:
        changed["compute_capabilities"] = tuple(given["compute_capabilities"].split(","))
    return TensorRtOptions(version_compatible="version_compatible" in given, **changed)
