"""Settings as they are typed: `SECTION.KEY=VALUE`."""

from __future__ import annotations

from typing import Any

from edgeseg.errors import UsageError
from edgeseg.strict_text import parse_toml


def parse_setting(setting: str) -> tuple[str, Any]:
    """Split ``SECTION.KEY=VALUE`` into key and value; the value is TOML, or else text.

    Raises:
        UsageError: A setting that names nothing or has no value.
    """
    key, separator, text = setting.partition("=")
    section, dot, name = key.strip().partition(".")
    if not separator or not dot or not name:
        raise UsageError(
            f"--set {setting} is not understood", expected="SECTION.KEY=VALUE", next_command="--set training.epochs=3"
        )
    try:
        value = parse_toml(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    return f"{section}.{name}", value


def apply_setting(document: dict[str, Any], setting: str) -> None:
    """Put ``SECTION.KEY=VALUE`` into a recipe's document, in place.

    Raises:
        UsageError: A setting that names nothing or has no value.
    """
    key, value = parse_setting(setting)
    section, _, name = key.partition(".")
    document.setdefault(section, {})[name] = value
