"""Model packages in one file: made of a package's files, checked against their manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.archive_members import ARCHIVE_SUFFIX, MANIFEST, archive_bytes, read_members
from edgeseg.artifacts import PackageManifest
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_bytes, write_bytes
from edgeseg.shell import quoted

ENVELOPE = f"{MANIFEST}.dsse.json"
"""The member that holds the manifest's signature; the manifest cannot name it."""
_AGAIN = "get the archive again from who made it"


@dataclass(frozen=True)
class PackageArchive:
    """An archive as it was checked; nothing is read a second time."""

    path: Path
    manifest: PackageManifest
    members: Mapping[str, bytes]
    """Name -> content."""


def is_archive(path: Path) -> bool:
    """Tell whether a path is named as an archive and something lies there that is no folder."""
    return path.suffix == ARCHIVE_SUFFIX and path.exists() and not path.is_dir()


def write_archive(out: Path, name: str, files: Mapping[str, bytes]) -> PackageManifest:
    """Write an archive, whole or not at all; the same files give the same bytes.

    Args:
        out: NAME.edgeseg.
        name: The model's name.
        files: Name -> content, `model.onnx` among them.

    Raises:
        UnwritableError: It cannot be written.
    """
    manifest = PackageManifest(name=name, files={one: sha256_bytes(files[one]) for one in sorted(files)})
    write_bytes(out, archive_bytes({MANIFEST: manifest.to_json().encode(), **files}))
    return manifest


def read_archive(path: Path) -> PackageArchive:
    """Read an archive and check every member against the manifest.

    Raises:
        BadInputError: It cannot be read, is no archive that edgeseg writes, or has no manifest.
        MismatchError: A member is missing, is not named by the manifest, or has another hash.
    """
    try:
        members = read_members(path)
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be read as a model package",
            found=error.strerror or error,
            expected="a file that edgeseg package --out NAME.edgeseg writes",
            next_command=_AGAIN,
        ) from error
    if MANIFEST not in members:
        raise BadInputError(
            f"{path} does not say what it holds",
            found=f"no {MANIFEST}",
            expected="a model package",
            next_command=_AGAIN,
        )
    manifest = PackageManifest.from_json(members[MANIFEST], f"{path / MANIFEST}")
    found = {name: sha256_bytes(data) for name, data in members.items() if name not in (MANIFEST, ENVELOPE)}
    if found != manifest.files:
        raise MismatchError(
            f"{path} does not hold what its manifest names",
            found=_difference(found, manifest),
            expected=f"{len(manifest.files)} files with the hashes in {MANIFEST}",
            next_command=_AGAIN,
        )
    return PackageArchive(path, manifest, members)


def add_envelope(path: Path, envelope: bytes) -> None:
    """Put the manifest's signature into an archive, in place of one that is there."""
    write_bytes(path, archive_bytes({**read_archive(path).members, ENVELOPE: envelope}))


def refuse_other_suffix(path: Path) -> None:
    """Refuse a name for an archive that no command would know for one.

    Raises:
        BadInputError: It does not end in ``.edgeseg``.
    """
    if path.suffix != ARCHIVE_SUFFIX:
        raise BadInputError(
            f"{path} is no name for a model package in one file",
            expected=f"a name that ends in {ARCHIVE_SUFFIX}",
            next_command=f"--out {quoted(path.with_suffix(ARCHIVE_SUFFIX))}",
        )


def _difference(found: Mapping[str, str], manifest: PackageManifest) -> str:
    names = sorted({*found, *manifest.files})
    name = next(name for name in names if found.get(name) != manifest.files.get(name))
    if name not in found:
        return f"no {name}"
    return (
        f"{name} with sha256 {found[name]}" if name in manifest.files else f"{name}, which the manifest does not name"
    )
