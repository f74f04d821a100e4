"""Lists the model packages of a folder, as their files and cards describe them; nothing is run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pydantic

from edgeseg.artifacts import PRECISIONS
from edgeseg.errors import EdgesegError
from edgeseg.files import read_text
from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import PACKAGE_CARD, PACKAGE_ONNX, package_folders
from edgeseg.specs import ModelMetadata
from edgeseg.values import Part

_ROW = re.compile(rf"^\| ({'|'.join(PRECISIONS)}) \| ([\d.]+) \| ([\d.]+) \|", re.MULTILINE)
"""A row of the card's table of measurements: precision, mean Dice, mean IoU, ..."""
_IMAGES = re.compile(r"^## Measured on the test split \((\d+) images", re.MULTILINE)
_BY_SOURCE = re.compile(r"^## Measured by source.*?(?=^## )", re.MULTILINE | re.DOTALL)
_SOURCE = re.compile(r"^\| (.+?) \| (\d+) \| ([\d.]+) \|", re.MULTILINE)
"""A row of the card's table by source: data, images, mean Dice of fp32, ..."""
_TERMS = re.compile(r"^- Terms: (.+)$", re.MULTILINE)


class Figures(Part):
    """Accuracy of one precision on the test split that the card names."""

    mean_dice: float
    mean_iou: float


class SourceFigures(Part):
    """Accuracy on the test split of one data set, in fp32."""

    images: int
    mean_dice: float


class ListedPackage(Part):
    """One package; where it cannot be read, `problem` says why and the rest is empty."""

    name: str
    path: str
    problem: str | None = None
    architecture: str | None = None
    height: int | None = None
    width: int | None = None
    parameters: int | None = None
    """Values of float weights, batch norm folded in."""
    multiply_adds: int | None = None
    """Multiply-adds of all convolutions for one frame."""
    file_bytes: int | None = None
    """Size of the ONNX file."""
    measured: dict[str, Figures] = pydantic.Field(default_factory=dict)
    """Precision -> what the card says, or the metadata where there is no card."""
    test_images: int | None = None
    """Images of the test split that `measured` is of; packages with different data have different ones."""
    by_source: dict[str, SourceFigures] = pydantic.Field(default_factory=dict)
    """Data set -> what the card says of it alone, where it names several."""
    terms: str | None = None
    """The terms on which the weights may be used."""


def list_packages(folders: Sequence[Path]) -> list[ListedPackage]:
    """The packages in some folders, by name; the first of equal names counts, as for commands that take a name."""
    found: dict[str, Path] = {}
    for folder in folders:
        for package in package_folders(folder):
            found.setdefault(package.name, package)
    return [_listed(found[name]) for name in sorted(found)]


def _listed(folder: Path) -> ListedPackage:
    path = folder / PACKAGE_ONNX
    try:
        artifact = load_onnx(path)
        card = read_text(folder / PACKAGE_CARD, "a model card") if (folder / PACKAGE_CARD).is_file() else ""
    except EdgesegError as error:
        return ListedPackage(name=folder.name, path=str(folder), problem=error.what)
    terms, images = _TERMS.search(card), _IMAGES.search(card)
    model = artifact.metadata.model
    return ListedPackage(
        name=folder.name,
        path=str(folder),
        architecture=model.architecture,
        height=model.height,
        width=model.width,
        parameters=parameter_count(artifact.proto),
        multiply_adds=multiply_adds(artifact.proto),
        file_bytes=path.stat().st_size,
        measured=_figures_of_card(card) or _figures_of_metadata(artifact.metadata),
        test_images=int(images.group(1)) if images else None,
        by_source=_sources_of_card(card),
        terms=terms.group(1) if terms else None,
    )


def _figures_of_card(card: str) -> dict[str, Figures]:
    return {
        precision: Figures(mean_dice=float(dice), mean_iou=float(iou)) for precision, dice, iou in _ROW.findall(card)
    }


def _sources_of_card(card: str) -> dict[str, SourceFigures]:
    section = _BY_SOURCE.search(card)
    sources = _SOURCE.findall(section.group(0))[1:] if section else []  # the first is the test split as a whole
    return {name: SourceFigures(images=int(images), mean_dice=float(dice)) for name, images, dice in sources}


def _figures_of_metadata(metadata: ModelMetadata) -> dict[str, Figures]:
    metrics = metadata.provenance.metrics
    if not {"test_dice", "test_iou"} <= metrics.keys():
        return {}
    return {"fp32": Figures(mean_dice=metrics["test_dice"], mean_iou=metrics["test_iou"])}
