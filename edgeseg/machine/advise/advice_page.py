"""An advice as one page that opens anywhere: no script, no request."""

from __future__ import annotations

from edgeseg.export.mixing.search_words import search_in_words
from edgeseg.machine.advise import advice_charts as charts
from edgeseg.machine.advise.advice_values import Advice
from edgeseg.machine.advise.advice_words import KIND_NAMES
from edgeseg.proof.verdict.templates import render

JSON_NAME = "advice.json"
HTML_NAME = "advice.html"
OUTCOME = {"ship": "passed", "undecided": "undecided", "nothing holds": "failed"}
"""Answer -> the colours of the verdict pages."""


def render_page(advice: Advice) -> str:
    """The page as HTML text; every name from outside is escaped."""
    harms = [(search, charts.harm_chart(search.record)) for search in advice.searches]
    return render(
        f"{__package__}:advice.html.j2",
        advice=advice,
        outcome=OUTCOME[advice.answer],
        names=KIND_NAMES,
        frame=charts,
        pareto=charts.pareto_chart(advice.candidates, advice.advised),
        harms=[(search, chart) for search, chart in harms if chart is not None],
        found=[(search.backend, search_in_words(search.record)) for search in advice.searches if search.holds],
    )
