"""The list of commands, in the order of the path that a model takes."""

from __future__ import annotations

from typing import Annotated

import typer

import edgeseg
from edgeseg.cli.data import app as data_app

app = typer.Typer(
    name="edgeseg",
    help="From polyp images to a measured, checked, real-time segmentation engine. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")


def _version(show: bool) -> None:
    if show:
        print(edgeseg.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass
