"""The pytest plugin in suites of its own, which `pytester` writes and runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml

from edgeseg.artifacts import BuildRecord, EngineArtifact
from edgeseg.runtime.passport.passports import passport_path
from tests.cli.test_verify import labelled as labelled
from tests.cli.test_verify import shift_bias

pytest_plugins = ["pytester"]

SUITE = """
    import os
    from pathlib import Path
    from edgeseg.testing import assert_dice_drop, assert_latency, assert_lost_polyps, assert_passed

    def test_passed(edgeseg_verdict):
        assert_passed(edgeseg_verdict)

    def test_dice(edgeseg_verdict):
        assert_dice_drop(edgeseg_verdict, at_most=0.05)

    def test_polyps(edgeseg_verdict):
        assert_lost_polyps(edgeseg_verdict)

    def test_latency(edgeseg_verdict, edgeseg_latency):
        assert edgeseg_latency.inferences == 200
        assert_latency(edgeseg_verdict, p50_ms=60000, p99_ms=60000)

    def test_engine(edgeseg_engine):
        assert edgeseg_engine.info.backend == "onnxruntime"

    def test_nothing_of_edgeseg():
        pass
"""


@pytest.fixture
def options(tiny_engine: Path, tiny_onnx: Path, labelled: Path) -> list[str]:
    """The options; the passport names the reference."""
    path = passport_path(tiny_engine)
    record = BuildRecord(model=str(tiny_onnx))
    EngineArtifact.read(path).model_copy(update={"build": record}).write(path)
    return [f"--edgeseg-engine={tiny_engine}", f"--edgeseg-data={labelled}"]


def properties_of_cases() -> dict[str, dict[str, str]]:
    """The properties of each test in suite.xml."""
    cases = ElementTree.parse("suite.xml").iter("testcase")
    return {case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")} for case in cases}


def test_fixtures_assertions_and_properties(pytester: pytest.Pytester, options: list[str]) -> None:
    pytester.makepyfile(SUITE)
    pytester.runpytest(*options, "--junitxml=suite.xml").assert_outcomes(passed=6)
    (suite,) = JUnitXml.fromfile("suite.xml")
    of_suite = {one.name: one.value for one in suite.properties()}
    assert float(of_suite["edgeseg.mean_dice"]) == 1 and float(of_suite["edgeseg.p99_ms"]) > 0
    of_cases = properties_of_cases()
    assert of_cases["test_dice"] == of_cases["test_latency"] == of_suite
    assert of_cases["test_nothing_of_edgeseg"] == of_cases["test_engine"] == {}


def test_a_failure_says_what_was_measured_and_what_to_type(
    pytester: pytest.Pytester, options: list[str], tiny_engine: Path, labelled: Path
) -> None:
    shift_bias(tiny_engine, -20)
    pytester.makepyfile(SUITE)
    result = pytester.runpytest(*options)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            ">*assert_passed(edgeseg_verdict)",
            "E*AssertionError: the verdict is: failed",
            "E*- mean Dice drop 0.2000 is beyond 0.0005 (95 % interval *",
            "E*AssertionError: mean Dice drop 0.2000 is beyond 0.05 (95 % interval *, 8 images)",
            "E*worst images:",
            "E*0: Dice 0.8000 (reference 1.0000)",
            f"E*next: edgeseg verify {tiny_engine} --reference * --data {labelled} --split test --report proof",
        ]
    )


def test_without_options_the_tests_are_skipped_and_nothing_is_loaded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_used="def test_used(edgeseg_verdict): pass\n\ndef test_engine(edgeseg_engine): pass\n",
        test_loaded="import os, sys\n\ndef test_loaded():\n"
        "    heavy = {'edgeseg', 'numpy', 'cv2', 'onnx', 'onnxruntime', 'pydantic', 'torch'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert 'ORT_DISABLE_TELEMETRY' not in os.environ and 'MPLCONFIGDIR' not in os.environ\n",
    )
    pytester.path.joinpath("pytest.ini").write_text("[pytest]\n")
    words = [sys.executable, "-m", "pytest", "-rs", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(pytester.path)}
    done = subprocess.run(words, cwd=pytester.path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed, 2 skipped" in done.stdout, done.stdout
    assert "--edgeseg-engine was not given: pytest --edgeseg-engine ENGINE --edgeseg-data DIR" in done.stdout


def test_what_verify_refuses_is_an_error_in_its_words(
    pytester: pytest.Pytester, options: list[str], labelled: Path
) -> None:
    shutil.rmtree(labelled / "test" / "masks")
    pytester.makepyfile("def test_one(edgeseg_verdict): pass\n\ndef test_two(edgeseg_verdict): pass\n")
    result = pytester.runpytest(*options, "--show-capture=no")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*masks*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_reference_that_is_gone_is_asked_for(pytester: pytest.Pytester, options: list[str], tiny_onnx: Path) -> None:
    other = tiny_onnx.rename(tiny_onnx.with_name("other.onnx"))
    pytester.makepyfile("def test_one(edgeseg_verdict): assert edgeseg_verdict.passed is True\n")
    pytester.runpytest(*options).stdout.fnmatch_lines(["*--edgeseg-reference MODEL*"])
    pytester.runpytest(*options, f"--edgeseg-reference={other}").assert_outcomes(passed=1)


@pytest.mark.long
def test_workers_reach_the_verdict_once(pytester: pytest.Pytester, options: list[str]) -> None:
    pytest.importorskip("xdist")
    names = [f"def test_{index}(edgeseg_verdict): pass" for index in range(8)]
    pytester.makepyfile("\n".join(names))
    pytester.makeconftest(
        """
        import os
        from pathlib import Path
        import pytest

        @pytest.fixture(autouse=True, scope="session")
        def counted():
            import edgeseg.proof.ci.suite_proof as suite_proof
            prove = suite_proof._prove

            def noted(request):
                Path(f"proof-of-{os.environ['PYTEST_XDIST_WORKER']}").touch()
                return prove(request)

            suite_proof._prove = noted
        """
    )
    words = ["-n", "2", *options, "--junitxml=suite.xml", f"--basetemp={pytester.path / 'base'}"]
    result = pytester.runpytest_subprocess(*words)
    result.assert_outcomes(passed=8)
    assert len(list(pytester.path.glob("proof-of-gw*"))) == 1
    figures = list(map(json.dumps, properties_of_cases().values()))
    assert len(figures) == 8 and len(set(figures)) == 1 and "edgeseg.mean_dice_drop" in figures[0]
