"""A study as a TOML file: a recipe, the choices that are compared, the seeds."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pydantic

from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import read_toml, sha256_bytes
from edgeseg.shell import quoted
from edgeseg.train.model_recipe import ModelRecipe
from edgeseg.train.recipe import AugmentationRecipe, Recipe, TrainingRecipe
from edgeseg.train.recipe_folders import SUFFIX, recipe_folders
from edgeseg.values import Part, Value, describe_validation

Settings = dict[str, Any]
"""Recipe key (``training.loss``) -> value."""
_SECTIONS: dict[str, type[Part]] = {
    "model": ModelRecipe,
    "training": TrainingRecipe,
    "augmentation": AugmentationRecipe,
}


class Choice(Part):
    """One of the choices of an axis."""

    name: str
    set: Settings
    full: bool = False
    """True if only the full form has it."""


class Axis(Part):
    """A thing that is varied: one key with its values, or choices that set several keys each."""

    name: str
    key: str | None = None
    values: tuple[Any, ...] = ()
    full_values: tuple[Any, ...] = ()
    """The values of the full form; empty: the same."""
    choices: tuple[Choice, ...] = ()

    @pydantic.model_validator(mode="after")
    def _one_form(self) -> Axis:
        if (self.key is None) == (not self.choices) or (self.key is None) != (not self.values):
            raise ValueError(f"the axis {self.name} has either a key with values, or choices")
        if self.full_values and self.key is None:
            raise ValueError(f"the axis {self.name} has full_values and no key")
        return self

    def options(self, full: bool) -> tuple[Choice, ...]:
        """The choices of one form."""
        if self.key is None:
            return tuple(choice for choice in self.choices if full or not choice.full)
        values = self.full_values if full and self.full_values else self.values
        return tuple(Choice(name=_word(value), set={self.key: value}) for value in values)


class Search(Part):
    """A search for one number in each cell: first its order of magnitude, then within it."""

    key: str
    decades: tuple[int, ...] = pydantic.Field(min_length=2)
    """Exponents of 10 that are tried first."""
    within: int = pydantic.Field(default=4, ge=0)
    """Trials within half a decade of the best one, evenly spread over its logarithm."""
    full_within: int | None = None


class Pruning(Part):
    """When a trial is given up: each epoch it is held against the others at the same epoch."""

    first_epoch: int = pydantic.Field(default=2, ge=1)
    """No trial is given up in this epoch or an earlier one."""
    keep: float = pydantic.Field(default=0.34, gt=0, lt=1)
    """Share of the trials, the best at that epoch, that go on."""


class Form(Part):
    """The changes that make the full form."""

    seeds: tuple[int, ...] = ()
    set: Settings = pydantic.Field(default_factory=dict)


class StudyFile(Value):
    """A comparison of training choices."""

    title: str
    question: str
    reported: str = ""
    """The findings of the work that the study repeats."""
    seeds: tuple[int, ...] = pydantic.Field(min_length=1)
    recipe: dict[str, Settings] = pydantic.Field(default_factory=dict)
    """Sections of the recipe that all trials share."""
    axes: tuple[Axis, ...] = pydantic.Field(min_length=1)
    search: Search | None = None
    pruning: Pruning | None = None
    full: Form = Form()

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> StudyFile:
        for words, names in (("axes", [axis.name for axis in self.axes]), ("seeds", list(map(str, self.seeds)))):
            if len(set(names)) < len(names):
                raise ValueError(f"two {words} are the same: {', '.join(names)}")
        return self


_KEYS = [key for part in (StudyFile, Axis, Search, Pruning) for key in part.model_fields]


def study_names() -> list[str]:
    """The studies that can be named without a path."""
    return sorted({path.stem for folder in _folders() for path in folder.glob(f"*{SUFFIX}")})


def read_study(name: str) -> StudyFile:
    """Read a study by its name (`recipes/studies/NAME.toml`) or its file.

    Raises:
        UsageError: There is no study of that name.
        BadInputError: The file is missing, no TOML, or has a key that is none.
    """
    path = _path_of(name)
    document = read_toml(path, "a study")
    try:
        return StudyFile.model_validate(document)
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"the study {path} does not hold together",
            found=describe_validation(error, _KEYS),
            expected="the keys of docs/studies/README.md",
        ) from error


def recipe_of(study: StudyFile, settings: Settings, precision: str | None = None) -> Recipe:
    """The recipe of the study with settings applied.

    Args:
        study: Its recipe is the base.
        settings: What differs from it.
        precision: Replaces the recipe's; None leaves it.

    Raises:
        BadInputError: A key that is none, or values that do not hold together.
    """
    document: dict[str, Any] = {section: dict(values) for section, values in study.recipe.items()}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        document.setdefault(section, {})[name] = value
    if precision is not None:
        document.setdefault("training", {})["precision"] = precision
    _refuse_unknown(document)
    try:
        return Recipe.model_validate(document)
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"a trial of the study '{study.title}' does not hold together",
            found=f"{describe_validation(error)}; with {', '.join(f'{k}={v}' for k, v in settings.items())}",
            expected="keys and values of a recipe",
        ) from error


def hash_of(study: StudyFile, full: bool) -> str:
    """A hash by which a folder is known to belong to a study in one of its forms."""
    return sha256_bytes(f"{study.model_dump_json()} {full}".encode())


def _refuse_unknown(document: dict[str, Any]) -> None:
    for section, values in document.items():
        known = _SECTIONS.get(section)
        keys = list(_SECTIONS) if known is None else list(known.model_fields)
        unknown = [section] if known is None else [name for name in values if name not in keys]
        if unknown:
            near = difflib.get_close_matches(unknown[0], keys, 1)
            place = "section" if known is None else f"key {section}."
            raise BadInputError(
                f"a recipe has no {place}{' ' if known is None else ''}{unknown[0]}",
                expected=f"{section + '.' if known else ''}{near[0]}" if near else f"one of {', '.join(keys)}",
                next_command="correct it in the study's file",
            )


def _path_of(name: str) -> Path:
    path = Path(name)
    if path.suffix == SUFFIX or path.is_file():
        return path
    for folder in _folders():
        if (folder / f"{name}{SUFFIX}").is_file():
            return folder / f"{name}{SUFFIX}"
    near = difflib.get_close_matches(name, study_names(), 1)
    raise UsageError(
        f"there is no study {name}",
        found=", ".join(study_names()),
        expected="one of these names, or a file FILE.toml",
        next_command=f"edgeseg study {quoted(near[0])} --data DATA --out DIR" if near else None,
    )


def _folders() -> list[Path]:
    """The folders of studies that exist."""
    return [folder / "studies" for folder in recipe_folders() if (folder / "studies").is_dir()]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
