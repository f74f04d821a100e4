"""Names of the streams of a box: as they are typed, and in the names of what each stream writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.settings import LiveSettings, OutputSettings
from edgeseg.runtime.live.sources.source_opening import STDIN

_NAMED = re.compile(r"([A-Za-z0-9][\w-]{0,31})=(.+)", re.DOTALL)
_LAST_PART = re.compile(r"([^?#]*/)([^/?#]*?)((?:\.[^/?#.]+)?(?:[?#].*)?)", re.DOTALL)


def streams_of(settings: LiveSettings, sources: Sequence[str]) -> tuple[LiveSettings, ...]:
    """Spread what was typed over the streams of a box.

    Args:
        settings: What holds for all; its source is not looked at.
        sources: SOURCE or NAME=SOURCE, one a stream. A file whose name has this form is a file. Of several, those
            without a name are numbered from 1 on.

    Raises:
        UsageError: A name or standard input occurs twice, or an output cannot be had for each stream.
    """
    found: dict[str, LiveSettings] = {}
    for number, (name, source) in enumerate(_named(sources), start=1):
        name = name or (str(number) if len(sources) > 1 else "")
        if name in found:
            raise UsageError("two streams have the same name", found=name, expected="NAME=SOURCE, each name once")
        found[name] = replace(settings, name=name, source=source, outputs=_outputs_of_stream(settings.outputs, name))
    if sum(stream.source == STDIN for stream in found.values()) > 1:
        raise UsageError("standard input can be read once only", found="two sources -", expected="one")
    return tuple(found.values())


def file_of_stream(path: Path, name: str) -> Path:
    """The file or folder of one stream: ``out.mp4`` is ``out-NAME.mp4``."""
    return path.with_name(f"{path.stem}-{name}{path.suffix}") if path.name else path / name


def address_of_stream(address: str, name: str) -> str:
    """The address of one stream: ``rtsp://HOST/live`` is ``rtsp://HOST/live-NAME``.

    Raises:
        UsageError: It has no path.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:  # FOLDER/NAME.m3u8
        return str(file_of_stream(Path(address), name))
    match = _LAST_PART.fullmatch(rest)
    if match is None or not match[2]:
        raise UsageError(
            "an address of --send-to has no path, so several streams would be sent to the same one",
            found=without_credentials(address),
            expected="rtsp://HOST/NAME, or one `edgeseg live` for each source",
        )
    return f"{scheme}{separator}{match[1]}{match[2]}-{name}{match[3]}"


def _outputs_of_stream(outputs: OutputSettings, name: str) -> OutputSettings:
    if not name:
        return outputs

    def named(path: Path | None) -> Path | None:
        return None if path is None else file_of_stream(path, name)

    addresses = tuple(address_of_stream(address, name) for address in outputs.addresses)
    return OutputSettings(
        named(outputs.overlay), named(outputs.raw), named(outputs.masks), named(outputs.events), addresses
    )


def _named(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    for source in sources:
        match = None if _is_there(source) else _NAMED.fullmatch(source)
        yield ("", source) if match is None else (match[1], match[2])


def _is_there(source: str) -> bool:
    try:
        return Path(source).exists()
    except OSError:  # a pipeline may be too long for a name
        return False
