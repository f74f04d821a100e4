"""`make test-oldest` tests the versions that pyproject.toml promises."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("train", "rtx", "openvino", "bench", "web", "dicom", "sign", "cluster", "storage", "dev")
LINES = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])]
LISTED = {
    wanted.name: wanted
    for wanted in map(Requirement, (ROOT / "ci" / "oldest.txt").read_text().splitlines()[1:])  # after the comment
}
PROMISED = [wanted for wanted in map(Requirement, LINES) if "python_version <" not in str(wanted.marker)]


def floors(wanted: Requirement) -> list[str]:
    return [part.version for part in wanted.specifier if part.operator in (">=", "==")]


def test_every_package_that_the_tests_use_is_there_and_no_other() -> None:
    assert sorted({canonicalize_name(wanted.name) for wanted in PROMISED}) == list(LISTED)


@pytest.mark.parametrize("wanted", PROMISED, ids=lambda wanted: wanted.name)
def test_the_version_is_the_first_of_the_floor(wanted: Requirement) -> None:
    (version,), (floor,) = floors(LISTED[canonicalize_name(wanted.name)]), floors(wanted)
    assert version in wanted.specifier
    assert f"{version}.".startswith(f"{floor}."), f"the floor is {floor}"
