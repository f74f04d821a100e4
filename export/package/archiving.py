"""Package folder -> one file, with the verdicts that hold for its engines and the terms of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.archive_members import MANIFEST, MOST_ARCHIVE_BYTES, is_member_name
from edgeseg.artifacts import CalibrationTable, PackageManifest
from edgeseg.calibration.table_check import check_table
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import check_writable_file, read_bounded
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.package_archive import ENVELOPE, refuse_other_suffix, write_archive
from edgeseg.packages import (
    PACKAGE_BILL,
    PACKAGE_CALIBRATION,
    PACKAGE_CARD,
    PACKAGE_CURVES,
    PACKAGE_LICENCE,
    PACKAGE_ONNX,
    PACKAGE_STATISTICS,
    find_model,
)
from edgeseg.shell import quoted
from edgeseg.signing.envelopes import envelope_path
from edgeseg.signing.signatures import DOCUMENT_BYTES_MAX
from edgeseg.signing.statements import CLIP_VERDICT, VERDICT, document_of

PARTS = (
    *(PACKAGE_ONNX, PACKAGE_CALIBRATION, PACKAGE_STATISTICS, PACKAGE_CARD, PACKAGE_BILL, PACKAGE_CURVES),
    PACKAGE_LICENCE,
)
"""The files of a package that go into an archive, where they are there; model, card and licence must be."""


def archive_package(
    package: Path, out: Path, licence: Path | None = None, verdicts: Sequence[Path] = ()
) -> PackageManifest:
    """Write a package as one file; the same files give the same bytes.

    Args:
        package: The package's folder, or its name.
        out: NAME.edgeseg.
        licence: The terms of the weights, for a package that has none of its own.
        verdicts: Verdicts to put in, each with the signature that lies beside it; each keeps its file's name.

    Raises:
        BadInputError: No package's folder, a card or the terms are missing, or a file cannot be read.
        MismatchError: The calibration table belongs to other weights.
        UsageError: Two files would have one name, or a name is none for a member.
        UnwritableError: `out` cannot be written.
    """
    refuse_other_suffix(out)
    check_writable_file(out)
    files = find_model(package)
    if files.kind != "package" or not files.path.is_dir():
        raise BadInputError(f"{package} is no folder of a model package", expected="a package's folder, or its name")
    artifact = load_onnx(files.path / PACKAGE_ONNX)
    if files.calibration is not None:
        check_table(artifact, CalibrationTable.read(files.calibration))
    paths = {name: files.path / name for name in PARTS if (files.path / name).is_file()}
    if licence is not None:
        paths[PACKAGE_LICENCE] = licence
    _refuse_missing(files.path, paths)
    for verdict in verdicts:
        _refuse_other_documents(verdict)
        envelope = envelope_path(verdict)
        for path in (verdict, *([envelope] if envelope.is_file() else [])):
            if path.name in (*paths, MANIFEST, ENVELOPE):
                raise UsageError(f"two files would be called {path.name}", next_command=f"rename {quoted(path)}")
            paths[path.name] = path
    _refuse_odd_names([files.name, *paths])
    contents = {name: read_bounded(path, "a file of a package", MOST_ARCHIVE_BYTES) for name, path in paths.items()}
    return write_archive(out, files.name, contents)


def _refuse_other_documents(verdict: Path) -> None:
    document = document_of(verdict, read_bounded(verdict, "a verdict", DOCUMENT_BYTES_MAX))
    if document.kind not in (VERDICT, CLIP_VERDICT):
        raise BadInputError(f"{verdict} is no verdict", found=document.kind.words, expected="verdict.json of a proof")


def _refuse_odd_names(names: Sequence[str]) -> None:
    for name in names:
        if not is_member_name(name):
            raise UsageError(
                f"{name!r} is no name for a model or a file in a package",
                expected="at most 64 letters, digits, dots, hyphens and underscores",
                next_command="rename the file or folder",
            )


def _refuse_missing(folder: Path, paths: dict[str, Path]) -> None:
    if PACKAGE_CARD not in paths:
        raise BadInputError(f"{folder} has no card", found=f"no {PACKAGE_CARD}", expected="what edgeseg package makes")
    if PACKAGE_LICENCE not in paths:
        raise BadInputError(
            f"{folder} does not say on which terms its weights may be used",
            found=f"no {PACKAGE_LICENCE}",
            expected="the terms in the package, or named beside it",
            next_command="add --licence FILE",
        )
