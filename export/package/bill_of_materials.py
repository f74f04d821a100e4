"""The software bill of materials of a package: the model's files and what runs them (CycloneDX 1.6, ECMA-424)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgeseg.files import sha256_file
from edgeseg.optional import require
from edgeseg.specs import ModelMetadata

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

DISTRIBUTION = "edgeseg"
LONGEST_LICENCE = 200
"""Characters; where the metadata hold more, it is the licence's whole text."""


def bill_of_materials(name: str, metadata: ModelMetadata, files: Sequence[Path]) -> str:
    """Write the bill of materials of a package.

    Args:
        name: The model's name.
        metadata: The metadata of its graph.
        files: The package's files, the ONNX file first.

    Returns:
        CycloneDX 1.6 in JSON. Its subject is the model, whose parts are the files with their SHA-256. Its components
        are edgeseg and the distributions that edgeseg needs at run time, as they are installed here and without
        extras: versions, licences, and which needs which.

    Raises:
        MissingComponentError: cyclonedx-python-lib is not installed.
    """
    output, schema = require("cyclonedx.output"), require("cyclonedx.schema")
    bom = require("cyclonedx.model.bom").Bom()
    bom.metadata.component = model = _model(name, metadata, files)
    needs = installed_needs(DISTRIBUTION)
    libraries = {found: _library(found) for found in needs}
    bom.components.update(libraries.values())
    bom.register_dependency(model, [libraries[DISTRIBUTION]])
    for found, wanted in needs.items():
        bom.register_dependency(libraries[found], [libraries[one] for one in wanted])
    text: str = output.make_outputter(bom, schema.OutputFormat.JSON, schema.SchemaVersion.V1_6).output_as_string(
        indent=2
    )
    return text


def installed_needs(root: str) -> dict[str, list[str]]:
    """Find the installed distributions that one needs, directly or not.

    Args:
        root: The distribution's name.

    Returns:
        Name -> names of those that it needs itself, all normalised (PEP 503), `root` first. What this machine and
        Python need not have, extras that nobody asks for, and what is not installed are left out.
    """
    needs: dict[str, list[str]] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(canonicalize_name(root), frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        wanted = needs.setdefault(name, [])
        for requirement in map(Requirement, importlib.metadata.requires(name) or ()):
            other = canonicalize_name(requirement.name)
            if not _applies(requirement, extras) or not _is_here(other):
                continue
            wanted += [] if other in wanted else [other]
            next_one = (str(other), frozenset(requirement.extras))
            if next_one not in seen:
                seen.add(next_one)
                waiting.append(next_one)
    return needs


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _is_here(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _model(name: str, metadata: ModelMetadata, files: Sequence[Path]) -> Component:
    model, component = require("cyclonedx.model"), require("cyclonedx.model.component")
    origin = metadata.provenance
    hashes = {"training-data-sha256": origin.data_sha256, "recipe-sha256": origin.recipe_sha256}
    parts = [
        component.Component(
            name=path.name, type=component.ComponentType.FILE, bom_ref=f"file:{path.name}", hashes=[_sha256(path)]
        )
        for path in files
    ]
    made: Component = component.Component(
        name=name,
        type=component.ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{name}",
        description=f"{metadata.model.architecture} at {metadata.model.width}x{metadata.model.height}",
        hashes=[_sha256(files[0])],
        components=parts,
        properties=[model.Property(name=f"edgeseg:{key}", value=value) for key, value in hashes.items() if value],
    )
    return made


def _library(name: str) -> Component:
    component, package_url = require("cyclonedx.model.component"), require("packageurl").PackageURL
    distribution = importlib.metadata.distribution(name)
    version = distribution.version
    made: Component = component.Component(
        name=name,
        type=component.ComponentType.LIBRARY,
        version=version,
        bom_ref=f"pypi:{name}@{version}",
        purl=None if name == DISTRIBUTION else package_url("pypi", None, name, version),
        licenses=_licences(distribution),
    )
    return made


def _licences(distribution: importlib.metadata.Distribution) -> list[License]:
    """The licences that a distribution's metadata name: by SPDX expression, else by field, else by classifier."""
    factory: Any = require("cyclonedx.contrib.license.factories").LicenseFactory()
    metadata = distribution.metadata
    stated = [*(metadata.get_all("License-Expression") or ()), *(metadata.get_all("License") or ()), ""][0].strip()
    if stated and len(stated) <= LONGEST_LICENCE and "\n" not in stated:
        return [factory.make_from_string(stated)]
    lines = metadata.get_all("Classifier") or ()
    names = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License :: OSI Approved :: ")]
    return [factory.make_from_string(name) for name in names]


def _sha256(path: Path) -> HashType:
    model = require("cyclonedx.model")
    made: HashType = model.HashType(alg=model.HashAlgorithm.SHA_256, content=sha256_file(path))
    return made
