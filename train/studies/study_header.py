"""The header of a study: what its trials have in common, by which a process knows whether it may join in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.file_locks import alone_in
from edgeseg.files import read_json, write_text
from edgeseg.shell import quoted

HEADER = "study.json"
Header = dict[str, Any]
"""`title`, `full`, `precision`, `study_sha256`, `data_sha256`, `settings`, and `server_id` where a server keeps it."""


def agree_in_folder(out: Path, header: Header) -> Header:
    """Write what a folder is for, or read it back.

    Args:
        out: The study's folder; exists.
        header: That of the study which this process was asked for.

    Returns:
        The folder's header, whose precision is that of the process which came first.

    Raises:
        BadInputError: The folder holds something else.
        MismatchError: The folder belongs to another study, to other data or settings, or to another server's study.
    """
    path = out / HEADER
    with alone_in(out):
        if not path.is_file():
            if any(out.iterdir()):
                raise BadInputError(f"{out} exists and is not empty", expected="a new folder, or that of a study")
            write_text(path, json.dumps(header, indent=2) + "\n")
    found = read_json(path, "a study's header")
    mend = f"edgeseg study STUDY --data DATA --out ANOTHER (beside {quoted(out)})"
    check_same(f"{out} holds", found, header, mend)
    return found


def check_same(where: str, found: Mapping[str, Any], header: Header, next_command: str) -> None:
    """Refuse a study that is not the one asked for.

    Args:
        where: The beginning of the message, for example ``DIR holds``.
        found: The header that is there.
        header: The header that is asked for.
        next_command: What mends it.

    Raises:
        MismatchError: They differ in more than the precision.
    """
    for name, what in (
        ("study_sha256", "another study, or another form of it"),
        ("data_sha256", "other data"),
        ("settings", "other settings"),
        ("server_id", "the trials of another server, or of none"),
    ):
        if found.get(name) != header.get(name):
            raise MismatchError(
                f"{where} {what}",
                found=f"{found.get('title')}, {name} {str(found.get(name))[:24]}",
                expected=f"{header['title']}, {name} {str(header.get(name))[:24]}",
                next_command=next_command,
            )
