"""`edgeseg sign`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit
from edgeseg.cli.signing_key import signer_of


def sign(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Passports (NAME.engine.json), verdict.json, NAME.edgeseg."),
    ],
    key: Annotated[Path, typer.Option(metavar="FILE.key", help="Private key, as edgeseg keys new makes it.")],
    as_json: JsonFlag = False,
) -> None:
    """Sign passports and their engines, verdicts, packages; an envelope lies beside its file, in a package inside."""
    from edgeseg.signing.envelopes import envelope_path
    from edgeseg.signing.key_files import PUBLIC_SUFFIX
    from edgeseg.signing.signatures import sign_files

    signed = sign_files(files, signer_of(key))
    lines = [
        f"{one.document.path}: signed as {one.document.kind.words}, in {envelope_path(one.document.path)}"
        for one in signed
    ]
    beside = key.with_suffix(PUBLIC_SUFFIX)
    public = beside if beside.is_file() else f"FILE{PUBLIC_SUFFIX}"
    lines.append(f"by key {signed[0].key_id}")
    lines.append(f"next: {shlex.join(['edgeseg', 'verify-signature', *map(str, files), '--public-key', str(public)])}")
    emit({"signed": [one.to_dict() for one in signed]}, as_json, "\n".join(lines))
