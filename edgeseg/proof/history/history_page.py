"""The history of verdicts as one page that opens anywhere: no script, no request."""

from __future__ import annotations

import edgeseg
from edgeseg.artifacts import RESEARCH_NOTICE
from edgeseg.proof.ci.verdict_figures import OUTCOMES, SIGNS
from edgeseg.proof.history import history_charts
from edgeseg.proof.history.verdict_history import VerdictHistory
from edgeseg.proof.verdict import verdict_charts
from edgeseg.proof.verdict.templates import render

_TEMPLATE = "history/history.html.j2"


def render_history(history: VerdictHistory) -> str:
    """The page as HTML text; every name from outside is escaped."""
    rows = history.versions
    return render(
        _TEMPLATE,
        rows=list(zip(rows, history.remarks(), [OUTCOMES[str(row.passed)] for row in rows], strict=True)),
        newest=rows[-1],
        outcome=OUTCOMES[str(rows[-1].passed)],
        signs=SIGNS,
        frame=verdict_charts,
        dice=history_charts.dice_chart(rows),
        drops=history_charts.drop_history_chart(rows),
        notice=RESEARCH_NOTICE,
        edgeseg_version=edgeseg.__version__,
        times=history_charts.time_chart(rows),
    )
