"""The pages' templates, found inside the installed package."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import jinja2

_ROOT = "edgeseg.proof"


def render(template: str, /, package: str = _ROOT, **values: Any) -> str:
    """Fill a template; every name from outside is escaped, a value that is missing is an error.

    Args:
        template: Path below the package, such as ``verdict/verdict.html.j2``.
        package: Where the template is; what it includes may lie below `edgeseg.proof`, too.
        values: What the template names.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FunctionLoader(functools.partial(_source, root)) for root in (package, _ROOT)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _source(package: str, name: str) -> str | None:
    path = importlib.resources.files(package).joinpath(*name.split("/"))
    return path.read_text(encoding="utf-8") if path.is_file() else None
