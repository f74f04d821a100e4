"""`edgeseg verify-signature`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.clip_text import outcome_word
from edgeseg.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from edgeseg.signing.signatures import Signed


def verify_signature(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Signed passports, beside their engines, verdicts of the same engine, NAME.edgeseg.",
        ),
    ],
    public_key: Annotated[Path, typer.Option(metavar="FILE.pub", help="Public key of who must have signed them.")],
    as_json: JsonFlag = False,
) -> None:
    """Check who signed engines, verdicts and packages, and that nothing has changed since; exit code 6 if not."""
    from edgeseg.signing.key_files import read_public_key
    from edgeseg.signing.signatures import check_files

    checked = check_files(files, read_public_key(public_key))
    lines = [_line(one) for one in checked]
    emit({"verified": [one.to_dict() for one in checked]}, as_json, "\n".join([*lines, f"by key {checked[0].key_id}"]))


def _line(signed: Signed) -> str:
    from edgeseg.artifacts import EngineArtifact, PackageManifest

    document = signed.document
    value, subject = document.value, "network" if isinstance(document.value, PackageManifest) else "engine"
    outcome = "" if isinstance(value, EngineArtifact | PackageManifest) else f", {outcome_word(value)}"
    return (
        f"{document.path}: {document.kind.words}{outcome}, of the {subject} with sha256 {document.engine_sha256}, "
        f"signed {signed.statement.predicate.get('signed_at', 'at an unknown time')}"
    )
