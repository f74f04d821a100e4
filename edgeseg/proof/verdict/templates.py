"""The pages' templates, found inside the installed package."""

from __future__ import annotations

import importlib.resources

import jinja2

_ROOT = "edgeseg.proof"


def render(template: str, **values: object) -> str:
    """Fill a template; every name from outside is escaped, a value that is missing is an error.

    Args:
        template: Path below `edgeseg.proof`, such as ``verdict/verdict.html.j2``, or below another package, with its
            name and a colon before it.
        values: What the template names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _source(name: str) -> str:
    package, _, path = name.rpartition(":")
    return importlib.resources.files(package or _ROOT).joinpath(*path.split("/")).read_text(encoding="utf-8")
