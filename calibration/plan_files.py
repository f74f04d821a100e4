"""Precision plans as files: TOML for a person to edit, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgeseg.artifacts import Precision, PrecisionPlan
from edgeseg.files import read_toml

_HEAD = """\
# Which precision each convolution runs in: "int8", "fp16" or "fp32".
# Under [layers]: a node's name, or a pattern with * ? [abc]. Of several that match, the last one counts.
"""


def read_plan(path: Path) -> PrecisionPlan:
    """Read a plan: JSON where the file is called .json, else TOML.

    Raises:
        BadInputError: The file cannot be read, or is not a plan.
    """
    if path.suffix == ".json":
        return PrecisionPlan.read(path)
    write = "edgeseg build-engine MODEL --precision int8 --write-plan FILE"
    document = read_toml(path, "a precision plan: TOML, or JSON in a file called .json", write)
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
