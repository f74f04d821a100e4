"""A verdict as JUnit XML, the form of test results that CI systems read (https://github.com/testmoapp/junitxml).

Each rule of the verdict is one test case, with the same name in every run, so that a system can follow it over runs.
An undecided rule is a failure as well: a gate that lets through what was not proven is none.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from edgeseg.artifacts import ClipVerdict, Verdict
from edgeseg.proof.ci.verdict_figures import figures_of, outcome_of, rules_of, worst_in_words

REPLACEMENT = chr(0xFFFD)
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 cannot hold, in section 2.2."""


def junit_of(verdict: Verdict | ClipVerdict) -> str:
    """The verdict as a JUnit document: properties with the figures, one test case for each rule.

    Args:
        verdict: One with `rules`; verdicts from before these were kept give no cases.
    """
    rules = rules_of(verdict)
    failures = sum(rule.passed is not True for _, rule in rules)
    counts = {"name": "edgeseg verify", "tests": str(len(rules)), "failures": str(failures), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {**counts, "skipped": "0", "timestamp": verdict.created})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in figures_of(verdict).items():
        ElementTree.SubElement(properties, "property", name=f"edgeseg.{name}", value=_clean(value))
    for part, rule in rules:
        case = ElementTree.SubElement(suite, "testcase", classname=f"edgeseg.verify.{part}", name=rule.rule)
        words = _clean("\n".join(rule.reasons))
        if rule.passed is not True:
            failure = {"type": outcome_of(rule), "message": _clean(rule.reasons[0])}
            ElementTree.SubElement(case, "failure", failure).text = words
        elif words:
            ElementTree.SubElement(case, "system-out").text = words
    if verdict.passed is not True:
        ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(_remedies(verdict)))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _remedies(verdict: Verdict | ClipVerdict) -> list[str]:
    """The images to look at, and the next command."""
    worst = worst_in_words(verdict) if isinstance(verdict, Verdict) else []
    return [*worst, *([] if verdict.next_command is None else [f"next: {verdict.next_command}"])]


def _clean(text: str) -> str:
    return NOT_IN_XML.sub(REPLACEMENT, text)
