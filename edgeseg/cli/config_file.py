"""`--config FILE`: a TOML file whose keys are the command's own flags, so that a box starts without a command line."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _take_over(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults; what stands on the command line goes before them."""
    if path is not None:
        known = {parameter.name: parameter for parameter in context.command.params if parameter.name}
        context.default_map = {**(context.default_map or {}), **read_config(path, set(known))}
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_take_over,
        help="Values for these flags and arguments by name, in TOML; the command line goes before them.",
    ),
]


def read_config(path: Path, known: set[str]) -> dict[str, Any]:
    """The values of a configuration file by parameter name.

    Args:
        path: TOML, keys spelled as flags (``max-mask-age-ms``) or with underscores.
        known: Names of the parameters.

    Raises:
        BadInputError: No such file, no TOML, or a key that is no flag.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read", found=error.strerror or error) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} is no TOML file", found=error) from error
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        name = {"json": "as_json"}.get(name, name)
        if name not in known or name == "config":
            near = difflib.get_close_matches(name, known, n=1)
            raise BadInputError(
                f"{path} sets {key}, which is no flag of this command",
                found=key,
                expected=near[0].replace("_", "-") if near else "a flag's name without its dashes",
                next_command="edgeseg run --help",
            )
        found[name] = value
    return found
