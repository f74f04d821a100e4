"""Versions, as packages, drivers, boards and compilers write them; what pip would say is the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from edgeseg.machine.doctor.board_checks import parse_power_mode
from edgeseg.machine.doctor.gpu_checks import numbers_of, parse_nvcc
from edgeseg.machine.doctor.hardware import parse_tegra_release
from edgeseg.machine.doctor.requirements import fits, parse_version
from edgeseg.proof.timing.sysfs_probe import power_mode_number, power_modes
from edgeseg.runtime.passport.gpu import cuda_version

NUMBER = st.integers(0, 999)
RELEASE = st.lists(NUMBER, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(RELEASE, RELEASE)
def test_a_release_fits_as_pip_says(version: str, floor: str) -> None:
    assert fits(version, SpecifierSet(f">={floor}")) == (Version(version) >= Version(floor))


@given(RELEASE, st.sampled_from(["", "rc1", ".dev3", "+cu130", "a0+872d972"]))
def test_a_vendors_build_counts_as_its_release(version: str, suffix: str) -> None:
    assert fits(version + suffix, SpecifierSet(f"=={version}"))


@given(RELEASE, NUMBER)
def test_debian_versions_give_their_release(version: str, build: int) -> None:
    found = parse_version(f"{version}-{build}+cuda12.5")
    assert found is not None and Version(found.base_version) == Version(version)
    assert parse_version(f"{version}-{build}ubuntu~x") == Version(version)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_none(text: str) -> None:
    found = parse_version(text)
    assert found is None or str(found)
    assert fits(text, SpecifierSet(">=0")) == (found is not None)


@given(st.integers(11, 99), st.integers(0, 9))
def test_the_drivers_number_and_back(major: int, minor: int) -> None:
    assert numbers_of(cuda_version(1000 * major + 10 * minor)) == (major, minor)
    assert parse_nvcc(f"Cuda compilation tools, release {major}.{minor}, V{major}.{minor}.68") == f"{major}.{minor}"


@given(st.integers(28, 60), RELEASE)
def test_jetson_linux_releases(major: int, revision: str) -> None:
    line = f"# R{major} (release), REVISION: {revision}, GCID: 41844464, BOARD: generic, EABI: aarch64"
    assert parse_tegra_release(line) == f"{major}.{revision}"


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_tegra_release, parse_nvcc, parse_power_mode, power_modes, power_mode_number, numbers_of):
        parse(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NV Power Mode: MAXN\n0\n", ("MAXN", 0)),
        ("NVPM VERB: Current mode: NV Power Mode: MODE_15W_6CORE\n2\nNVPM VERB: PARAM", ("MODE_15W_6CORE", 2)),
        ("NV Power Mode: 15W", ("15W", None)),
        ("nothing", None),
    ],
)
def test_power_modes_as_nvpmodel_says_them(text: str, expected: tuple[str, int | None] | None) -> None:
    assert parse_power_mode(text) == expected


def test_the_modes_of_a_board() -> None:
    text = "< POWER_MODEL ID=0 NAME=15W >\nX\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >"
    assert power_modes(text) == {0: "15W", 2: "MAXN_SUPER"}
