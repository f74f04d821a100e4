"""`--backend`: the names come from the registry, those of other packages included, when the command is used."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from edgeseg.runtime.engine.backends import AUTO, backend_names


class BackendCommand(TyperCommand):
    """A command with an option `backend`: its help lists the backends that are here when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Name the backends first."""
        for parameter in self.params:
            if parameter.name == "backend":
                parameter.metavar = f"[{'|'.join(_names())}]"
        super().format_help(ctx, formatter)


def _known(name: str) -> str:
    if name not in _names():
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, _names()))}.")
    return name


def _names() -> tuple[str, ...]:
    return (AUTO, *backend_names())


BackendOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        callback=_known,
        help="What shall execute the engine; auto: tensorrt where it and a GPU are, else onnxruntime.",
    ),
]
