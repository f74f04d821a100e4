"""Signs passports, verdicts and model packages, and checks them against a public key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.archive_members import MANIFEST, archive_of
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import read_bounded, sha256_bytes, sha256_file, write_bytes
from edgeseg.package_archive import PackageArchive, add_envelope, is_archive, read_archive
from edgeseg.shell import quoted
from edgeseg.signing.envelopes import SignatureError, envelope_bytes, envelope_path, read_envelope, verified_payload
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.statements import (
    PACKAGE,
    PASSPORT,
    SIGNABLE,
    Document,
    Signable,
    Statement,
    document_of,
    engine_beside,
    statement_about,
    statement_from,
)

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

DOCUMENT_BYTES_MAX = 1 << 26
"""The largest file that is read as a passport or a verdict."""
_AGAIN = "get the files again from who signed them, or check and sign them anew"


@dataclass(frozen=True)
class Signed:
    """A document and its signature."""

    document: Document
    statement: Statement
    key_id: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "file": str(self.document.path),
            "kind": self.document.kind.words,
            "envelope": str(envelope_path(self.document.path)),
            "key_id": self.key_id,
            "statement": self.statement.model_dump(mode="json", by_alias=True),
        }


def sign_files(paths: Sequence[Path], signer: CryptoSigner) -> list[Signed]:
    """Sign passports, verdicts and packages; every file is checked before the first envelope is written.

    Args:
        paths: ``NAME.engine.json`` beside their engines, files of verdicts, and ``NAME.edgeseg``, which take their
            envelope in.
        signer: The private key.

    Raises:
        BadInputError: A file is neither, or a passport lies alone.
        MismatchError: A passport describes another engine.
    """
    made = []
    for path in map(_document_path, paths):
        document = _read_document(path)
        if document.kind is PASSPORT:
            _check_engine(document)
        statement = statement_about(document)
        made.append((Signed(document, statement, signer.public_key.keyid), envelope_bytes(statement, signer)))
    for signed, envelope in made:
        archive = archive_of(signed.document.path)
        if archive is None:
            write_bytes(envelope_path(signed.document.path), envelope)
        else:
            add_envelope(archive, envelope)
    return [signed for signed, _ in made]


def check_files(paths: Sequence[Path], key: PublicKey) -> list[Signed]:
    """Check that a key has signed passports with their engines, verdicts and packages, all unchanged since.

    Args:
        paths: As for `sign_files`. Where passports are among them, verdicts must be of their engines.
        key: The key that must have signed them.

    Raises:
        BadInputError: A file or its envelope cannot be read.
        SignatureError: A file is not signed, by another key, or was changed; or a verdict is of another engine.
    """
    found = []
    for path in map(_document_path, paths):
        data = _read(path)
        statement = _checked_statement(path, data, read_envelope(path), key)
        document = document_of(path, data)
        _refuse_other_kind(path, statement, document.kind)
        if document.kind is PASSPORT:
            engine = engine_beside(path)
            _refuse_other_engine(engine, _engine_sha256(engine), statement)
        found.append(Signed(document, statement, key.key_id))
    _refuse_other_verdicts([signed.document for signed in found])
    return found


def check_signed_engine(passport: Path, described: bytes, engine: bytes, key: PublicKey) -> None:
    """Check an engine before it is opened, on the very bytes that will be opened.

    Args:
        passport: The passport's path; the envelope lies beside it.
        described: The passport's bytes.
        engine: The engine's bytes.
        key: The key that must have signed them.

    Raises:
        BadInputError: The envelope cannot be read.
        SignatureError: They are not signed, by another key, or were changed since.
    """
    statement = _checked_statement(passport, described, read_envelope(passport), key)
    _refuse_other_kind(passport, statement, PASSPORT)
    _refuse_other_engine(engine_beside(passport), sha256_bytes(engine), statement)


def check_signed_archive(path: Path, key: PublicKey) -> PackageArchive:
    """Check a model package before it is opened.

    Args:
        path: NAME.edgeseg.
        key: The key that must have signed it.

    Returns:
        The archive as it was checked.

    Raises:
        BadInputError: It or its envelope cannot be read.
        MismatchError: It does not hold what its manifest names.
        SignatureError: It is not signed, by another key, or was changed since.
    """
    archive, document = read_archive(path), path / MANIFEST
    statement = _checked_statement(document, archive.members[MANIFEST], read_envelope(document), key)
    _refuse_other_kind(document, statement, PACKAGE)
    return archive


def _document_path(path: Path) -> Path:
    """The path of what is signed: of an archive, whose members are checked, the manifest inside."""
    return read_archive(path).path / MANIFEST if is_archive(path) else path


def _read(path: Path) -> bytes:
    passport = path.with_name(f"{path.name}.json")
    if passport.is_file():
        raise BadInputError(
            f"{path} is signed together with its passport",
            found="an engine",
            expected=f"its passport {passport}",
            next_command=f"name {quoted(passport)} in place of {quoted(path)}",
        )
    return read_bounded(path, "NAME.engine.json or a verdict", DOCUMENT_BYTES_MAX)


def _read_document(path: Path) -> Document:
    return document_of(path, _read(path))


def _engine_sha256(engine: Path) -> str:
    try:
        return sha256_file(engine)
    except OSError as error:
        raise BadInputError(
            f"cannot read the engine {engine}",
            found=error.strerror or error,
            expected="the engine beside its passport, NAME.engine beside NAME.engine.json",
        ) from error


def _check_engine(passport: Document) -> None:
    engine = engine_beside(passport.path)
    found = _engine_sha256(engine)
    if found != passport.engine_sha256:
        raise MismatchError(
            f"{engine} is not the engine that its passport describes, so it is not signed",
            found=f"sha256 {found}",
            expected=f"sha256 {passport.engine_sha256}",
            next_command=f"edgeseg inspect {quoted(engine)}",
        )


def _checked_statement(path: Path, data: bytes, envelope: bytes, key: PublicKey) -> Statement:
    """Give the statement about a document, its signature checked first and the document against it."""
    origin = str(envelope_path(path))
    statement = statement_from(verified_payload(envelope, key, path), origin)
    subject, found = statement.subject[0], sha256_bytes(data)
    if subject.digest.sha256 != found:
        same = subject.name == path.name
        raise SignatureError(
            f"{path} was changed after it was signed" if same else f"{origin} is the envelope of another file",
            found=f"{path.name} with sha256 {found}",
            expected=f"{subject.name} with sha256 {subject.digest.sha256}",
            next_command=_AGAIN,
        )
    return statement


def _refuse_other_kind(path: Path, statement: Statement, kind: Signable) -> None:
    if statement.predicate_type != kind.predicate_type:
        signed = [one.words for one in SIGNABLE if one.predicate_type == statement.predicate_type]
        raise SignatureError(
            f"{path} was signed as something else",
            found=signed[0] if signed else statement.predicate_type,
            expected=kind.words,
            next_command=_AGAIN,
        )


def _refuse_other_engine(engine: Path, found: str, statement: Statement) -> None:
    expected = statement.subject[1].digest.sha256
    if found != expected:
        raise SignatureError(
            f"{engine} was changed after it was signed",
            found=f"sha256 {found}",
            expected=f"sha256 {expected}",
            next_command=_AGAIN,
        )


def _refuse_other_verdicts(documents: Sequence[Document]) -> None:
    engines = {one.engine_sha256: one.path for one in documents if one.kind is PASSPORT}
    for one in documents:
        if engines and one.engine_sha256 not in engines:
            raise SignatureError(
                f"{one.path} is a verdict on another engine",
                found=f"sha256 {one.engine_sha256}",
                expected=f"sha256 {' or '.join(engines)}",
                next_command="edgeseg verify the engine that is to be shipped",
            )
