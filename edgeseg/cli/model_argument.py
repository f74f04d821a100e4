"""A MODEL argument of any kind as a loaded network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeseg.runtime.engine.session import Session


TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="python:MODULE:FUNCTION",
        help="Trust the code that a RUN of your own network names: importing it runs it. Repeatable.",
    ),
]


def open_model(path: Path, streaming: bool = False, *, trusted: Sequence[str] = ()) -> Session:
    """Load a RUN folder (needs torch), an .onnx file, a model package or an .engine file.

    Args:
        path: The argument.
        streaming: Lay it out for many frames one after another, rather than for one soon.
        trusted: Code that a RUN's network may be; see `edgeseg.train.predictor.open_run`.

    Raises:
        BadInputError: None of these, or a RUN whose network is code that is not trusted.
        MismatchError: The file is not what it says of itself, or the engine has no passport.
        MissingComponentError: This machine cannot run it.
    """
    from edgeseg.packages import find_model
    from edgeseg.runtime.opener.loading import open_engine, open_onnx

    kind = find_model(path).kind
    if kind == "engine":
        return open_engine(path, streaming=streaming)
    if kind == "run":
        from edgeseg.optional import require

        require("torch")
        from edgeseg.train.predictor import open_run

        return open_run(path, trusted)
    return open_onnx(path, streaming=streaming)
