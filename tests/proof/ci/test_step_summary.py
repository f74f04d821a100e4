"""The step summary, rendered by markdown-it, which follows CommonMark and GitHub's tables."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edgeseg.artifacts import RuleResult
from edgeseg.proof.ci.step_summary import summary_of
from tests.proof.verdicts import row, verdict

PLAIN_TAGS = {"h2", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p", "code"}


class Rendered(HTMLParser):
    """Collects tags, and the words of each."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(MarkdownIt("commonmark").enable("table").render(markdown))

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        assert not attrs

    def handle_data(self, data) -> None:
        self.words.append(data)


def test_it_has_the_outcome_the_figures_their_limits_and_the_next_command() -> None:
    rules = (RuleResult(rule="mean Dice drop", passed=False, reasons=("mean Dice drop 0.0100 is beyond 0.0050",)),)
    page = Rendered(summary_of(verdict(passed=False, rules=rules, next_command="edgeseg advise 'my model'")))
    words = " ".join(" ".join(page.words).split())
    assert words.startswith("✗ failed: bright-pixels, int8 on onnxruntime")
    for said in ("0.8900 0.9000", "0.02", "0 of 6", "8.00, 12.50", "✗ mean Dice drop: mean Dice drop 0.0100 is beyond"):
        assert said in words
    assert "image_0: Dice 0.8900 (reference 0.9000)" in words
    assert "Next: edgeseg advise 'my model'" in words


def test_a_verdict_that_passed_names_no_worst_images() -> None:
    assert "image_0" not in summary_of(verdict())


@settings(max_examples=50)
@given(st.text(alphabet=st.sampled_from("<>&|*_`[]()#!\\~ -+=\n\t1.ab\"'")))
@example("- ")
@example("12. a")
@pytest.mark.filterwarnings("ignore")
def test_names_bring_no_markup(name: str) -> None:
    clean = Rendered(summary_of(verdict(row("image", 0.2), passed=False)))
    page = Rendered(summary_of(verdict(row(name, 0.2), passed=False)))
    assert set(page.tags) <= PLAIN_TAGS
    assert page.tags == clean.tags
