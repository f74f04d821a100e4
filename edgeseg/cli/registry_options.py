"""`--backend`, `--method`, `--select`: their names come from registries, asked when the command is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from edgeseg.cli.once import OnceCommand
from edgeseg.runtime.engine.backends import AUTO, backend_names


def _backends() -> tuple[str, ...]:
    return (AUTO, *backend_names())


def _methods() -> tuple[str, ...]:
    from edgeseg.calibration.methods import AUTO_METHOD, METHODS

    return (*METHODS, AUTO_METHOD)


def _selections() -> tuple[str, ...]:
    from edgeseg.calibration.selection import SELECTIONS

    return tuple(SELECTIONS)


NAMES: dict[str | None, Callable[[], tuple[str, ...]]] = {
    "backend": _backends,
    "method": _methods,
    "select": _selections,
}
"""Parameter -> what it may be, those that other packages add included."""


class RegistryCommand(OnceCommand):
    """A command whose help lists what is registered when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Name the choices first."""
        self.name_choices()
        super().format_help(ctx, formatter)

    def name_choices(self) -> None:
        """Write what is registered into the options' metavars."""
        for parameter in self.params:
            if parameter.name in NAMES:
                parameter.metavar = f"[{'|'.join(NAMES[parameter.name]())}]"


def _completing(parameter: str) -> Callable[[str], list[str]]:
    """Give a shell the names that begin as typed."""

    def names(incomplete: str) -> list[str]:
        return [name for name in NAMES[parameter]() if name.startswith(incomplete)]

    return names


def _known(parameter: typer.CallbackParam, name: str | None) -> str | None:
    names = NAMES[parameter.name]()
    if name is not None and name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, names))}.")
    return name


BackendOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        callback=_known,
        autocompletion=_completing("backend"),
        help="What executes the engine; auto: tensorrt where it and a GPU are present, else onnxruntime.",
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        callback=_known,
        autocompletion=_completing("method"),
        help="How the range of a tensor is chosen; auto tries all and keeps the best.",
    ),
]
SelectionOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        callback=_known,
        autocompletion=_completing("select"),
        help="Which images: at equal steps, drawn, drawn from dark to bright, or as different as they come.",
    ),
]
TableMethodOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=_known,
        autocompletion=_completing("method"),
        help="How the range of a tensor is chosen, max by default, auto tries all; a calibration table must have been "
        "made this way.",
    ),
]
