"""The folders where recipes and studies are found by name: `recipes` here, then those that come with edgeseg."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

SUFFIX = ".toml"


def recipe_folders() -> list[Path]:
    """The folders that exist, each once."""
    folders = [Path("recipes"), Path(str(importlib.resources.files("edgeseg.recipes")))]
    return list({folder.resolve(): folder for folder in folders if folder.is_dir()}.values())


def find_recipe(path: Path) -> Path:
    """The file of a recipe.

    Args:
        path: A file, or the bare name of one in the folders (``kvasir-lite0``).

    Returns:
        The file; `path` itself where it exists or no folder has one of that name.
    """
    if path.exists() or len(path.parts) != 1 or path.suffix:
        return path
    files = [folder / f"{path}{SUFFIX}" for folder in recipe_folders()]
    return next((file for file in files if file.is_file()), path)
