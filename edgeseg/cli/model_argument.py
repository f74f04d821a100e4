"""The option that a MODEL argument may need beside it."""

from __future__ import annotations

from typing import Annotated

import typer

TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="python:MODULE:FUNCTION",
        help="Trust the code that a RUN of your own network names: importing it runs it. Repeatable.",
    ),
]
