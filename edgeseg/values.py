"""The base of all values that cross from one stage to the next: frozen, validated, versioned, JSON on disk."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pydantic

from edgeseg.errors import BadInputError
from edgeseg.files import read_text, write_text
from edgeseg.strict_text import parse_json, refuse_infinite

PartT = TypeVar("PartT", bound="Part")
ValueT = TypeVar("ValueT", bound="Value")


class Part(pydantic.BaseModel):
    """A frozen, validated piece of a value; it carries no version of its own."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_empty_strangers(cls, data: Any) -> Any:
        """Ignore unknown fields that are null: older files name fields, since gone, without a value."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name in cls.model_fields}


class Value(Part):
    """A versioned value.

    `SCHEMA_VERSION` grows when a reader of the former version could misread the new one.
    """

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    @pydantic.field_validator("schema_version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version != cls.SCHEMA_VERSION:
            raise ValueError(f"schema version {version}; this edgeseg reads version {cls.SCHEMA_VERSION}")
        return version

    def to_dict(self) -> dict[str, Any]:
        """Return the value as plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """Return the value as a JSON document, keys in the order of declaration."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls: type[ValueT], text: str | bytes, origin: str = "JSON") -> ValueT:
        """Read a value back.

        Args:
            text: The JSON document; bytes are UTF-8.
            origin: The text's origin, for the message.

        Raises:
            BadInputError: The text is not JSON or has a key twice, a field is missing, unknown or out of range, or the
                schema version is another.
        """
        try:
            return part_from_json(cls, text)
        except ValueError as error:  # pydantic's ValidationError is one, too
            raise BadInputError(
                f"{origin} is not a valid {cls.__name__}",
                found=describe_validation(error) if isinstance(error, pydantic.ValidationError) else error,
                expected=f"{cls.__name__} version {cls.SCHEMA_VERSION}",
            ) from error

    @classmethod
    def read(cls: type[ValueT], path: Path) -> ValueT:
        """Read a value from a file."""
        return cls.from_json(read_text(path, cls.__name__), str(path))

    def write(self, path: Path) -> None:
        """Write the value to a file, whole or not at all."""
        write_text(path, self.to_json() + "\n")


def part_from_json(kind: type[PartT], text: str | bytes) -> PartT:
    """Read a part from a JSON document that every reader sees alike, text or UTF-8.

    Raises:
        ValueError: The text is not such JSON, it does not validate (then it is pydantic's ValidationError), or a number
            in it is not finite: pydantic takes the text "Infinity" for one.
    """
    parse_json(text if isinstance(text, str) else text.decode())
    part = kind.model_validate_json(text)
    refuse_infinite(part.model_dump())
    return part


def describe_validation(error: pydantic.ValidationError, known: Iterable[str] = ()) -> str:
    """Put up to three of pydantic's complaints into one short line.

    Args:
        error: The complaints.
        known: The keys that exist; for the first key that does not, the nearest of them is named.
    """
    lines = [f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in error.errors()]
    rest = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
    words = "; ".join(lines[:3]) + rest
    unknown = [str(item["loc"][-1]) for item in error.errors() if item["type"] == "extra_forbidden"]
    near = difflib.get_close_matches(unknown[0], list(known), 1) if unknown else []
    return f"{words}; did you mean {near[0]}?" if near else words
