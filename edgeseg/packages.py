"""A MODEL argument is a RUN folder, an .onnx file, an .engine file or a model package; this tells which."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.archive_members import ARCHIVE_SUFFIX
from edgeseg.artifacts import PACKAGE_ONNX as PACKAGE_ONNX
from edgeseg.errors import BadInputError
from edgeseg.package_archive import is_archive, read_archive
from edgeseg.shell import quoted

PACKAGE_CALIBRATION = "model.calibration.json"
PACKAGE_STATISTICS = "statistics.json"
"""How the training pictures looked, for the drift watch; older packages have none."""
PACKAGE_CARD = "card.md"
PACKAGE_BILL = "sbom.cdx.json"
"""The software bill of materials; older packages have none."""
PACKAGE_LICENCE = "LICENSE.md"
"""The terms of the weights; a package in one file has them."""
PACKAGE_CURVES = "thresholds.svg"
"""The card's picture; older packages have none."""
ENTRY_POINTS = "edgeseg.models"
MODELS_INSTALL = "pip install edgeseg-models"
"""The command that brings the shipped packages where there is no source tree."""
RUN_CHECKPOINT = "best.pt"
RUN_RECIPE = "recipe.toml"

Kind = Literal["run", "onnx", "engine", "package"]


@dataclass(frozen=True)
class ModelFiles:
    """The paths of a model's parts."""

    kind: Kind
    path: Path
    """The file or folder that was named; in a package, its parts lie below it, in an archive too."""
    name: str
    """Stem for the names of files made from this model."""
    onnx: Path | None = None
    calibration: Path | None = None


def find_model(path: Path) -> ModelFiles:
    """Tell what a MODEL argument names: a path, or the bare name of a package in one of `model_folders`.

    Raises:
        BadInputError: Nothing there, a folder that is neither a RUN nor a package, or an archive that cannot be read.
        MismatchError: An archive does not hold what its manifest names.
    """
    if not path.exists() and len(path.parts) == 1:
        path = next((folder / path for folder in model_folders() if (folder / path / PACKAGE_ONNX).is_file()), path)
    if path.is_dir():
        return _in_folder(path)
    if is_archive(path):
        manifest = read_archive(path).manifest
        table = path / PACKAGE_CALIBRATION if PACKAGE_CALIBRATION in manifest.files else None
        return ModelFiles("package", path, manifest.name, path / PACKAGE_ONNX, table)
    if not path.exists():
        near = _nearest(path)
        raise BadInputError(
            f"there is no model at {path}",
            expected="a RUN folder, an .onnx file, an .engine file, a model package or the name of one",
            next_command=f"did you mean {near}?" if near is not None else _where_packages_are(),
        )
    has_passport = path.suffix != ".onnx" and path.with_name(f"{path.name}.json").is_file()
    if path.suffix == ".engine" or has_passport:  # other programs lay a NAME.onnx.json of their own beside NAME.onnx
        return ModelFiles("engine", path, path.stem)
    beside = path.with_suffix(".calibration.json")
    return ModelFiles("onnx", path, path.stem, path, beside if beside.is_file() else None)


def model_folders() -> list[Path]:
    """List the folders where packages are looked for by name: `models` here, then the source tree's, then wheels'.

    edgeseg's own wheel brings no weights. `edgeseg-models` does, and any distribution may: an entry point of the group
    ``edgeseg.models`` names a module whose folder holds packages. The module is found and not imported.
    """
    tree = Path(__file__).resolve().parents[1]
    in_tree = [tree / "models"] if (tree / "pyproject.toml").is_file() else []
    return [folder for folder in (Path("models"), *in_tree, *_installed_folders()) if folder.is_dir()]


def _installed_folders() -> Iterator[Path]:
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(entry.module.partition(".")[0])
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def package_folders(folder: Path) -> list[Path]:
    """The packages that lie in a folder."""
    packages = (path.parent for path in folder.glob(f"*/{PACKAGE_ONNX}"))
    return sorted(package for package in packages if not package.name.startswith("."))  # a half-written one has a dot


def _where_packages_are() -> str:
    here = any(package_folders(folder) for folder in model_folders())
    return "edgeseg models lists the packages" if here else f"{MODELS_INSTALL} brings trained packages by name"


def _nearest(path: Path) -> str | None:
    """Guess what was meant: the closest name among the packages and the models that lie beside a path."""
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    names = {entry.name: str(entry) for entry in beside if _may_be_model(entry)}
    for folder in model_folders():
        names |= {package.name: package.name for package in package_folders(folder) if package.name not in names}
    near = difflib.get_close_matches(path.name, names, 1)
    return names[near[0]] if near else None


def _may_be_model(path: Path) -> bool:
    return (
        path.suffix in (".onnx", ".engine", ARCHIVE_SUFFIX)
        or (path / PACKAGE_ONNX).is_file()
        or (path / RUN_RECIPE).is_file()
    )


def onnx_of(files: ModelFiles) -> Path:
    """The ONNX file of a package or .onnx argument.

    Raises:
        BadInputError: The argument is a RUN or an engine, which hold none.
    """
    if files.onnx is None:
        command = f"edgeseg export {quoted(files.path)} --out model.onnx" if files.kind == "run" else None
        raise BadInputError(
            f"{files.path} holds no ONNX graph",
            found="an engine" if files.kind == "engine" else "a RUN folder",
            expected="an .onnx file or a model package",
            next_command=command,
        )
    return files.onnx


def _in_folder(folder: Path) -> ModelFiles:
    name = folder.resolve().name
    if (folder / PACKAGE_ONNX).is_file():
        table = folder / PACKAGE_CALIBRATION
        return ModelFiles("package", folder, name, folder / PACKAGE_ONNX, table if table.is_file() else None)
    if (folder / RUN_RECIPE).is_file():
        return ModelFiles("run", folder, name)
    raise BadInputError(
        f"{folder} is neither a RUN folder nor a model package",
        expected=f"{RUN_RECIPE} and {RUN_CHECKPOINT} of a RUN, or {PACKAGE_ONNX} of a package",
    )
