"""The packages that edgeseg's own metadata asks for, and whether what is installed fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from edgeseg.machine.doctor.checks import Check, PartName, Status
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.machine_view import MachineView

# Distributions that bring the same module; any of them will do.
_SAME_MODULE = {
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}


@dataclass(frozen=True)
class Requirements:
    """The parts whose checks decide whether a backend works, and the check of its own package."""

    builds_with: tuple[PartName, ...] = ("base",)
    runs_with: tuple[PartName, ...] = ("base",)
    check: Callable[[MachineView, Hardware, dict[str, Any]], Check] | None = None
    """Looks at the package, of which the last argument says ``version`` or what is ``missing``; a check of the part
    `backend` that is named after the backend decides, too. None: the package belongs to the base install."""
    beside_gpu: bool = False
    """True if the package is only asked for its version where there is a GPU."""


@dataclass(frozen=True)
class OptionalPackage:
    """The check of a backend that needs one package and nothing else."""

    backend: str
    module: str
    purpose: str
    install: str
    """The command that brings the package."""
    extra: str | None = None
    """The extra of edgeseg whose first package says which versions fit; None takes any."""

    def __call__(self, view: MachineView, hardware: Hardware, answer: dict[str, Any]) -> Check:
        """Check whether the package is here, loads and fits."""
        wanted = wanted_packages(view, self.extra) if self.extra else []
        if not view.has_module(self.module):
            return self._check("not needed here", "not installed; optional", self.install)
        if "missing" in answer:
            return self._check("missing", f"installed, and does not load: {answer['missing']}", self.install)
        if wanted and not fits(answer["version"], wanted[0].versions):
            return self._check("wrong version", f"{answer['version']}; needed: {wanted[0].versions}", self.install)
        return self._check("ok", answer["version"], None)

    def _check(self, status: Status, found: str, command: str | None) -> Check:
        return Check(
            part="backend",
            name=self.backend,
            status=status,
            found=found,
            purpose=self.purpose,
            next_command=command,
        )


@dataclass(frozen=True)
class Wanted:
    """A package that some part needs."""

    name: str
    versions: SpecifierSet


def wanted_packages(view: MachineView, extra: str | None = None) -> list[Wanted]:
    """The packages of the base install, or those that an extra adds; what this Python does not need is left out."""
    environment = {"extra": extra or "", "python_version": view.python.minor, "platform_machine": view.python.machine}
    wanted = []
    for line in view.requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        applies = marker is None or marker.evaluate(environment)
        of_extra = marker is not None and "extra" in str(marker)
        if applies and of_extra == (extra is not None):
            wanted.append(Wanted(requirement.name, requirement.specifier))
    return wanted


def check_package(view: MachineView, wanted: Wanted, part: PartName, purpose: str, install: str) -> Check:
    """Check whether a package is installed in a version that fits; nothing is imported.

    Args:
        view: The machine.
        wanted: The package.
        part: What needs it.
        purpose: What for.
        install: The command that brings it.
    """
    name, version = _installed(view, wanted.name)
    if version is None:
        return Check(
            part=part, name=wanted.name, status="missing", found="not installed", purpose=purpose, next_command=install
        )
    if not fits(version, wanted.versions):
        return Check(
            part=part,
            name=wanted.name,
            status="wrong version",
            found=f"{name} {version}; needed: {wanted.versions}",
            purpose=purpose,
            next_command=f"pip install '{wanted.name}{wanted.versions}'",
        )
    found = version if name == wanted.name else f"{version} ({name})"
    return Check(part=part, name=wanted.name, status="ok", found=found, purpose=purpose)


def _installed(view: MachineView, name: str) -> tuple[str, str | None]:
    for candidate in (name, *_SAME_MODULE.get(name, ())):
        version = view.installed_version(candidate)
        if version is not None:
            return candidate, version
    return name, None


def fits(version: str, versions: SpecifierSet) -> bool:
    """Tell whether a version lies in a range; a pre-release or a build of a vendor counts as its release."""
    parsed = parse_version(version)
    return parsed is not None and versions.contains(Version(parsed.base_version), prereleases=True)


def parse_version(text: str) -> Version | None:
    """A version; of a vendor's like ``10.3.0.30-1+cuda12.5`` its release. None where there is none."""
    for candidate in (text.strip(), text.strip().partition("-")[0]):
        try:
            return Version(candidate)
        except InvalidVersion:
            continue
    return None
