"""A qualification as one page that opens anywhere: no script, no request."""

from __future__ import annotations

import importlib.resources

import jinja2

from edgeseg.machine.qualify.qualification_values import Qualification

JSON_NAME = "qualify.json"
HTML_NAME = "qualify.html"
_TEMPLATE = "qualify.html.j2"


def render_page(qualification: Qualification) -> str:
    """The page as HTML text; every name from outside is escaped."""
    source = importlib.resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    passed = qualification.passed
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(
        result=qualification,
        outcome="undecided" if passed == "undecided" else "passed" if passed else "failed",
        machine=qualification.machine,
        gpu=qualification.machine.hardware.gpu,
    )
