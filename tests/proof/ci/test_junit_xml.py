"""The JUnit document, read back by junitparser."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, SystemOut, TestCase, TestSuite

from edgeseg.artifacts import ProtocolRecord, RuleResult
from edgeseg.proof.ci.junit_xml import junit_of
from tests.proof.verdicts import BUILT, row, verdict

RULES = (
    RuleResult(rule="finite probabilities", passed=True),
    RuleResult(rule="mean Dice drop", passed=False, reasons=("mean Dice drop 0.0600 is beyond 0.0050",)),
    RuleResult(rule="enough images", passed="undecided", reasons=("2 of 6 images show something", "more are needed")),
    RuleResult(rule="latency", passed=True, reasons=("p99 9 ms is within 30 ms",)),
)


def suite_of(document: str) -> tuple[JUnitXml, TestSuite, list[TestCase]]:
    xml = JUnitXml.fromstring(document.encode())
    (suite,) = list(xml)
    return xml, suite, list(suite)


def failures(case: TestCase) -> Sequence[Failure]:
    return [result for result in case.result if isinstance(result, Failure)]


def test_each_rule_is_a_case_and_whatever_did_not_pass_a_failure() -> None:
    judged = verdict(passed=False, rules=RULES, next_command="edgeseg advise model.onnx")
    xml, suite, cases = suite_of(junit_of(judged))
    assert [case.name for case in cases] == [rule.rule for rule in RULES]
    assert {case.classname for case in cases} == {"edgeseg.verify.images"}
    assert [[(one.type, one.text) for one in failures(case)] for case in cases] == [
        [],
        [("failed", "mean Dice drop 0.0600 is beyond 0.0050")],
        [("undecided", "2 of 6 images show something\nmore are needed")],
        [],
    ]
    assert (xml.tests, xml.failures, xml.errors) == (4, 2, 0)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 2, 0, 0)
    before = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()
    assert before == (suite.tests, suite.failures, suite.errors, suite.skipped), "junitparser counts likewise"
    assert cases[3].child(SystemOut).text == "p99 9 ms is within 30 ms"
    said = suite.child(SystemOut).text
    assert "image_0: Dice 0.8900 (reference 0.9000)" in said and said.endswith("next: edgeseg advise model.onnx")


def test_the_properties_are_the_figures() -> None:
    record = ProtocolRecord(sha256="a" * 64, set_by="the clinic", set_at=BUILT, kept=False, deviations=("it is late",))
    _, suite, _ = suite_of(junit_of(verdict(lost=("image_1",), protocol=record)))
    figures = {one.name: one.value for one in suite.properties()}
    assert float(figures["edgeseg.mean_dice"]) == 0.89
    assert float(figures["edgeseg.reference_mean_dice"]) == 0.9
    assert abs(float(figures["edgeseg.mean_dice_drop"]) - 0.01) < 1e-6
    assert (figures["edgeseg.mean_dice_drop_low"], figures["edgeseg.mean_dice_drop_high"]) == ("0.004", "0.016")
    assert (figures["edgeseg.p50_ms"], figures["edgeseg.p99_ms"]) == ("8", "12.5")
    assert (figures["edgeseg.lost_polyps"], figures["edgeseg.protocol_kept"]) == ("1", "false")


@settings(max_examples=50)
@given(st.text())
def test_any_name_of_an_image_gives_a_document_that_can_be_read(name: str) -> None:
    rule = RuleResult(rule="lost polyps", passed=False, reasons=(f"the engine loses {name}",))
    document = junit_of(verdict(row(name, 0.2), passed=False, rules=(rule,)))
    _, _, (case,) = suite_of(document)
    readable = "".join(letter for letter in name if letter.isalnum())
    (failure,) = failures(case)
    assert readable in "".join(letter for letter in failure.text if letter.isalnum())
