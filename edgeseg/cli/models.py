"""`edgeseg models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, table
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.machine.model_listing import ListedPackage


def models(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder of packages; else ./models, the source tree's, installed ones."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the model packages that commands take by their bare names."""
    from edgeseg.errors import BadInputError
    from edgeseg.machine.model_listing import list_packages
    from edgeseg.packages import model_folders

    if folder is not None and not folder.is_dir():
        raise BadInputError(f"there is no folder {folder}", expected="a folder of model packages")
    folders = model_folders() if folder is None else [folder]
    packages = list_packages(folders)
    emit({"models": [package.model_dump(mode="json") for package in packages]}, as_json, _text(packages, folder))


def _text(packages: list[ListedPackage], folder: Path | None) -> str:
    from edgeseg.packages import MODELS_INSTALL

    if not packages:
        where = "./models, and this installation has none" if folder is None else str(folder)
        source = f"{MODELS_INSTALL} brings them, and so does a clone of the source (models/); edgeseg package makes one"
        return f"no model packages in {where}\n{source}"
    figures = ["test images", "Dice / IoU on them"]
    columns = ["package", "network", "input", "weights", "multiply adds", "file MB", *figures]
    rows = [_row(package) for package in packages]
    lines = [table("Model packages", columns, rows)]
    lines += [f"{package.name}: cannot be read: {package.problem}" for package in packages if package.problem]
    lines += [f"{package.name}: {_by_source(package)}" for package in packages if package.by_source]
    for terms in dict.fromkeys(package.terms for package in packages if package.terms):
        lines.append(f"{', '.join(package.name for package in packages if package.terms == terms)}: {terms}")
    good = next((package for package in packages if package.problem is None), None)
    if good is not None:
        lines.append(
            f"next: edgeseg build-engine {quoted(good.name if folder is None else good.path)} --precision int8"
        )
    return "\n".join(lines)


def _by_source(package: ListedPackage) -> str:
    sources = (f"{name} {figures.mean_dice:.4f} ({figures.images})" for name, figures in package.by_source.items())
    return f"fp32 Dice by source: {', '.join(sources)}"


def _row(package: ListedPackage) -> list[str]:
    if package.parameters is None or package.multiply_adds is None or package.file_bytes is None:
        return [package.name, *["?"] * 7]
    measured = "\n".join(
        f"{precision} {figures.mean_dice:.4f} / {figures.mean_iou:.4f}"
        for precision, figures in package.measured.items()
    )
    return [
        package.name,
        str(package.architecture),
        f"{package.width}x{package.height}",
        f"{package.parameters / 1e6:.2f} M",
        f"{package.multiply_adds / 1e9:.2f} G",
        f"{package.file_bytes / 1e6:.2f}",
        "?" if package.test_images is None else str(package.test_images),
        measured or "not measured",
    ]
