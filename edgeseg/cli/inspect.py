"""`edgeseg inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit


def inspect(
    file: Annotated[Path, typer.Argument(help="An engine, .onnx, package, RUN, or one of the JSON documents.")],
    as_json: JsonFlag = False,
) -> None:
    """Show any artifact as a person would read it."""
    from edgeseg.runtime.describe import describe

    description = describe(file)
    width = max(map(len, description.facts))
    lines = [
        f"{file}: {description.kind}",
        *(f"  {name:<{width}}  {value}" for name, value in description.facts.items()),
    ]
    emit({"kind": description.kind, **description.document}, as_json, "\n".join(lines))
