"""A MODEL argument is a RUN folder, an .onnx file, an .engine file or a model package; this tells which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.errors import BadInputError

PACKAGE_ONNX = "model.onnx"
PACKAGE_CALIBRATION = "model.calibration.json"
PACKAGE_STATISTICS = "statistics.json"
"""How the training pictures looked, for the drift watch; older packages have none."""
PACKAGE_CARD = "card.md"
RUN_CHECKPOINT = "best.pt"
RUN_RECIPE = "recipe.toml"

Kind = Literal["run", "onnx", "engine", "package"]


@dataclass(frozen=True)
class ModelFiles:
    """Where the parts of a model lie."""

    kind: Kind
    path: Path
    """What was named: the file or the folder."""
    name: str
    """For the names of files made from it."""
    onnx: Path | None = None
    calibration: Path | None = None


def find_model(path: Path) -> ModelFiles:
    """Tell what a MODEL argument names.

    Raises:
        BadInputError: Nothing there, or a folder that is neither a RUN nor a package.
    """
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        raise BadInputError(
            f"there is no model at {path}", expected="a RUN folder, an .onnx file, an .engine file or a model package"
        )
    if path.suffix == ".engine":
        return ModelFiles("engine", path, path.stem)
    beside = path.with_suffix(".calibration.json")
    return ModelFiles("onnx", path, path.stem, path, beside if beside.is_file() else None)


def onnx_of(files: ModelFiles) -> Path:
    """The ONNX file of a package or .onnx argument.

    Raises:
        BadInputError: The argument is a RUN or an engine, which hold none.
    """
    if files.onnx is None:
        command = f"edgeseg export {files.path} --out model.onnx" if files.kind == "run" else None
        raise BadInputError(
            f"{files.path} holds no ONNX graph",
            found=f"a {files.kind}",
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
