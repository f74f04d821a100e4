"""The pytest plugin of edgeseg: `pytest --edgeseg-engine E --edgeseg-data D` proves an engine in a suite of your own.

pytest loads this module in every run where edgeseg is installed, so it imports nothing but pytest. It stands beside the
package and not in it, because `import edgeseg` sets environment variables, which other people's tests must not see.
docs/how-to/ci.md shows the fixtures and the assertions of `edgeseg.testing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from edgeseg import OpenEngine
    from edgeseg.artifacts import LatencyReport, Verdict

FIGURES = pytest.StashKey[dict[str, str]]()
"""The verdict's figures, once it is there."""
PROVEN = frozenset({"edgeseg_verdict", "edgeseg_latency"})
"""The fixtures whose tests carry the figures as JUnit properties."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all of which name files."""
    group = parser.getgroup("edgeseg", "edgeseg: accuracy and latency of an engine")
    group.addoption("--edgeseg-engine", type=Path, metavar="ENGINE", help="engine, its passport beside it")
    group.addoption("--edgeseg-data", type=Path, metavar="DIR", help="data set with masks")
    group.addoption("--edgeseg-split", default="test", metavar="SPLIT", help="split of the data (default: test)")
    group.addoption(
        "--edgeseg-reference", type=Path, metavar="MODEL", help="reference (default: what the engine was built from)"
    )
    group.addoption("--edgeseg-protocol", type=Path, metavar="FILE", help="limits and data that were fixed beforehand")


def pytest_runtest_call(item: pytest.Item) -> None:
    """Give a test that reads the verdict its figures as properties; with xdist these alone reach the JUnit file."""
    figures = item.config.stash.get(FIGURES, {})
    if PROVEN.intersection(getattr(item, "fixturenames", ())):
        item.user_properties += [(f"edgeseg.{name}", value) for name, value in figures.items()]


@pytest.fixture(scope="session")
def edgeseg_engine(pytestconfig: pytest.Config) -> Iterator[OpenEngine]:
    """The engine of `--edgeseg-engine`, open as `edgeseg.open_engine` gives it."""
    path = _option(pytestconfig, "--edgeseg-engine")
    import edgeseg
    from edgeseg.errors import EdgesegError

    try:
        engine = edgeseg.open_engine(path)
    except EdgesegError as error:
        pytest.fail(str(error), pytrace=False)
    with engine:
        yield engine


@pytest.fixture(scope="session")
def edgeseg_verdict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The verdict of `edgeseg verify` on the engine and the data, reached once in a run, however many workers."""
    config = request.config
    engine, data = (_option(config, option) for option in ("--edgeseg-engine", "--edgeseg-data"))
    from edgeseg.errors import EdgesegError
    from edgeseg.proof.ci.suite_proof import SuiteRequest, prove_once
    from edgeseg.proof.ci.verdict_figures import figures_of

    named = (config.getoption(f"--edgeseg-{name}") for name in ("split", "reference", "protocol"))
    folder = tmp_path_factory.getbasetemp()
    try:
        verdict = prove_once(
            SuiteRequest(engine, data, *named), folder.parent if hasattr(config, "workerinput") else folder
        )
    except EdgesegError as error:
        pytest.fail(str(error), pytrace=False)
    config.stash[FIGURES] = figures_of(verdict)
    if config.pluginmanager.has_plugin("junitxml"):
        record = request.getfixturevalue("record_testsuite_property")
        for name, value in config.stash[FIGURES].items():
            record(f"edgeseg.{name}", value)
    return verdict


@pytest.fixture(scope="session")
def edgeseg_latency(edgeseg_verdict: Verdict) -> LatencyReport:
    """The verdict's latency: one image after another, from frame to mask, in milliseconds."""
    return edgeseg_verdict.latency


def _option(config: pytest.Config, name: str) -> Path:
    """The path of an option; a test that needs one which was not given is skipped."""
    path: Path | None = config.getoption(name)
    if path is None:
        pytest.skip(f"{name} was not given: pytest --edgeseg-engine ENGINE --edgeseg-data DIR")
    return path
