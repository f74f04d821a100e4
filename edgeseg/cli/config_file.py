"""`--config FILE`: a TOML file whose keys are the command's own flags, so that a box starts without a command line."""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeseg.errors import BadInputError
from edgeseg.files import read_toml
from edgeseg.runtime.live.credentials import without_credentials

AT_LEAST_ONE = list[str]
"""The type of an argument that may be given several times; a file may also give it as one text."""


def _take_over(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults; the command line overrides them."""
    callback = context.command.callback
    if path is not None and callback is not None:
        kinds = typing.get_type_hints(callback)
        context.default_map = {**(context.default_map or {}), **read_config(path, kinds, context.info_name or "")}
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_take_over,
        help="TOML file with values for these flags and arguments, by name; the command line overrides it.",
    ),
]


def read_config(path: Path, kinds: Mapping[str, Any], command: str) -> dict[str, Any]:
    """The values of a configuration file by parameter name.

    Args:
        path: TOML, keys spelled as flags (``max-mask-age-ms``) or with underscores.
        kinds: Types of the parameters by name. Ranges are left to the flags themselves.
        command: What it configures, for the message.

    Raises:
        BadInputError: There is no such file, it is not TOML, a key is not a flag, or a value has the wrong type.
    """
    values = read_toml(path, "a TOML file of flags", f"edgeseg {command} --help")
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        name = {"json": "as_json"}.get(name, name)
        if name not in kinds or name == "config":
            near = difflib.get_close_matches(name, kinds, n=1)
            raise BadInputError(
                f"{path} sets {key}, which is not a flag of this command",
                found=key,
                expected=near[0].replace("_", "-") if near else "a flag's name without its dashes",
                next_command=f"edgeseg {command} --help",
            )
        if kinds[name] == AT_LEAST_ONE and isinstance(value, str):
            value = [value]
        expected = what_it_must_be(value, kinds[name])
        if expected is not None:
            raise BadInputError(
                f"{path} sets {key} to a value of the wrong type",
                found=without_credentials(f"{key} = {json.dumps(value, default=str)}"),
                expected=expected,
                next_command=f"edgeseg {command} --help",
            )
        found[name] = value
    return found


def what_it_must_be(value: Any, kind: Any) -> str | None:
    """Say in words what a TOML value must be, where it is of another kind than a parameter; None where it fits.

    Args:
        value: The file's value; a file tells numbers from words, in a shell all is text.
        kind: The parameter's type: bool, int, float, str, Path, a Literal, a list of text, or one of them or None.
    """
    if type(None) in typing.get_args(kind):
        (kind,) = [one for one in typing.get_args(kind) if one is not type(None)]
    if typing.get_origin(kind) is list:
        fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return None if fits else 'texts in brackets: ["...", "..."]'
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return None if value in choices else " or ".join(choices)
    allowed, words = _KINDS.get(kind, ((str,), "a text in quotation marks"))
    return None if type(value) in allowed else words


_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}
