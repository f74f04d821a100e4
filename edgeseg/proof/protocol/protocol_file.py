"""The file of a protocol: what a verification will be held to, written down before anybody knows the figures.

It is the record of what FDA's guidance asks of the performance evaluation in a modification protocol: test data and
acceptance criteria that are fixed before a modification is made, and by whom (Marketing Submission Recommendations for
a Predetermined Change Control Plan for Artificial Intelligence-Enabled Device Software Functions, December 2024).
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

import edgeseg
from edgeseg.artifacts import VerdictLimits
from edgeseg.dataset import hash_pairs, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import read_text, read_toml, sha256_bytes, sha256_file, write_text
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.values import Part, describe_validation

DOCUMENT = "docs/how-to/protocol.md"
_SEAL = "[seal]\n"

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


class ProtocolData(Part):
    """The labelled images."""

    split: str
    images: int = pydantic.Field(gt=0)
    sha256: Sha256
    """Hash of images and masks, as `edgeseg.dataset.hash_pairs` gives it."""


class ProtocolClips(Part):
    """The clips; their limits stand in their own file, which the hash covers."""

    clips: int = pydantic.Field(gt=0)
    sha256: Sha256
    """Hash of the file of clips and of whatever it names, as `ClipSet.sha256` has it."""


class Seal(Part):
    """Tells an edited file from one that is as it was written; whoever can write the file can also seal it anew."""

    sha256: Sha256
    """Hash of the text above the table `[seal]`."""


class Protocol(Part):
    """Everything that a verification is held to."""

    set_by: str = pydantic.Field(min_length=1)
    """Whoever fixed it: a name, a role."""
    set_at: pydantic.AwareDatetime
    limits: VerdictLimits | None = None
    """The limits for labelled images; None where there are none, as is `data`."""
    data: ProtocolData | None = None
    clips: ProtocolClips | None = None
    seal: Seal

    @pydantic.model_validator(mode="after")
    def _fixes_something(self) -> Protocol:
        if (self.limits is None) != (self.data is None):
            raise ValueError("[limits] and [data] need each other")
        if self.data is None and self.clips is None:
            raise ValueError("a protocol has [limits] and [data], or [clips], or all three")
        return self


@dataclass(frozen=True)
class ProtocolFile:
    """A protocol as it was read."""

    path: Path
    sha256: str
    """Hash of the file."""
    protocol: Protocol
    edited: bool
    """True if the text is not the one that was sealed."""


def read_protocol(path: Path) -> ProtocolFile:
    """Read a protocol.

    Raises:
        BadInputError: The file is missing, no TOML, or has a key or value that no protocol has.
    """
    document = read_toml(path, f"a protocol, as {DOCUMENT} has it", "edgeseg protocol --help")
    try:
        protocol = Protocol.model_validate(document, strict=True)
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"the protocol {path} does not hold together",
            found=describe_validation(error, _KEYS),
            expected=f"a file that `edgeseg protocol` wrote, as {DOCUMENT} has it",
            next_command="edgeseg protocol --help",
        ) from error
    sealed, found, _ = read_text(path, "a protocol").rpartition(_SEAL)
    return ProtocolFile(path, sha256_file(path), protocol, not found or _seal_of(sealed) != protocol.seal.sha256)


_KEYS = [key for part in (Protocol, VerdictLimits, ProtocolData, ProtocolClips, Seal) for key in part.model_fields]


def write_protocol(
    path: Path,
    set_by: str,
    limits: VerdictLimits | None = None,
    data: Path | None = None,
    split: str = "test",
    clips: Path | None = None,
) -> ProtocolFile:
    """Fix a protocol: read the data, and write their hashes and the limits to a file that is not there yet.

    Args:
        path: The file, which must not exist: a protocol is never changed.
        set_by: Whoever fixes it.
        limits: The limits for labelled images, every floor among them; with `data` only.
        data: Data set with masks.
        split: Which part of it; a data set without splits is taken whole.
        clips: The file of clips.

    Raises:
        UsageError: The file exists, nobody is named, or there is nothing to fix.
        BadInputError: Images or clips that cannot be read.
    """
    if path.exists():
        raise UsageError(
            f"{path} exists, and a protocol is not changed once it is set",
            expected="the name of a new file; the former one stays, as the record of what was agreed",
        )
    if not set_by.strip() or not set_by.isprintable():
        raise UsageError("a protocol needs whoever sets it, in one line", found=set_by, expected='--by "NAME, ROLE"')
    images = None if data is None else _data_of(data, split)
    films = None if clips is None else _clips_of(clips)
    write_text(path, _as_toml(set_by.strip(), limits, images, films))
    return read_protocol(path)


def _data_of(data: Path, split: str) -> ProtocolData:
    pairs = load_pairs(data, split, classes=None)
    if not pairs:
        raise BadInputError(f"{data} has no labelled images to fix", expected="at least one image with its mask")
    return ProtocolData(split=split, images=len(pairs), sha256=hash_pairs(pairs))


def _clips_of(clips: Path) -> ProtocolClips:
    found = read_clips(clips)
    return ProtocolClips(clips=len(found.clips), sha256=found.sha256)


def _as_toml(set_by: str, limits: VerdictLimits | None, data: ProtocolData | None, clips: ProtocolClips | None) -> str:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    lines = [
        f"# The protocol of a verification, by edgeseg {edgeseg.__version__}: edgeseg verify ENGINE --protocol FILE",
        "# It is sealed: set a new one rather than edit it.",
        f"set_by = {_literal(set_by)}",
        f"set_at = {now}",
    ]
    for name, part in (("limits", limits), ("data", data), ("clips", clips)):
        if part is not None:
            fields = part.model_dump(exclude_none=True).items()
            lines += ["", f"[{name}]", *(f"{key} = {_literal(value)}" for key, value in fields)]
    text = "\n".join([*lines, "", ""])
    return f'{text}{_SEAL}sha256 = "{_seal_of(text)}"\n'


def _literal(value: str | float) -> str:
    """A string or number in TOML, which writes them as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _seal_of(text: str) -> str:
    return sha256_bytes(text.encode())
