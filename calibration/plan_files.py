"""Precision plans as files: TOML for a person to edit, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from edgeseg.artifacts import Precision, PrecisionPlan
from edgeseg.errors import BadInputError
from edgeseg.files import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEAD = """\
# Which precision each convolution runs in: "int8", "fp16" or "fp32".
# Under [layers]: a node's name, or a pattern with * ? [abc]. Of several that match, the last one counts.
"""


def read_plan(path: Path) -> PrecisionPlan:
    """Read a plan: JSON where the file is called .json, else TOML.

    Raises:
        BadInputError: The file cannot be read, or is not a plan.
    """
    text = read_text(path, "a precision plan")
    if path.suffix == ".json":
        return PrecisionPlan.from_json(text, str(path))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(
            f"{path} is not a precision plan",
            found=error,
            expected="TOML, or JSON in a file called .json",
            next_command="edgeseg build-engine MODEL --precision int8 --write-plan FILE",
        ) from error
    return PrecisionPlan.from_json(json.dumps(document, default=str), str(path))


def plan_to_toml(plan: PrecisionPlan, precisions: Mapping[str, Precision] | None = None) -> str:
    """A plan as TOML that `read_plan` reads back.

    Args:
        plan: The plan.
        precisions: Every convolution of a network and its precision, in order: those that the plan does not name are
            listed as comments, ready to be edited.
    """
    lines = [_HEAD + f"schema_version = {plan.schema_version}", f'default = "{plan.default}"', "", "[layers]"]
    lines += [_line(name, precision) for name, precision in plan.layers.items()]
    lines += [f"# {_line(name, p)}" for name, p in (precisions or {}).items() if name not in plan.layers]
    return "\n".join(lines) + "\n"


def _line(name: str, precision: Precision) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    key = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f'{key} = "{precision}"'
