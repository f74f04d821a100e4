"""The statements that are signed: which files a passport or a verdict binds (in-toto Statement v1)."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic

from edgeseg import strict_text
from edgeseg.artifacts import PACKAGE_ONNX, ClipVerdict, EngineArtifact, PackageManifest, Verdict
from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes
from edgeseg.shell import quoted
from edgeseg.values import Part, describe_validation

STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
ENGINE_OF_A_VERDICT = "engine"
"""The name of a verdict's engine, of which a verdict knows the hash alone."""


@dataclass(frozen=True)
class Signable:
    """A kind of document that can be signed."""

    words: str
    value: type[EngineArtifact] | type[Verdict] | type[ClipVerdict] | type[PackageManifest]
    predicate_type: str
    bound: tuple[str, ...]
    """The fields of the document that are repeated in the predicate, for readers of the envelope alone."""


PASSPORT = Signable(
    "engine passport",
    EngineArtifact,
    "urn:edgeseg:engine-passport:1",
    (
        *("backend", "backend_version", "precision"),
        *("onnx_sha256", "weights_sha256", "calibration_sha256", "precision_plan_sha256"),
    ),
)
VERDICT = Signable(
    "verdict",
    Verdict,
    "urn:edgeseg:verdict:1",
    ("passed", "backend", "precision", "reference_sha256", "data_sha256"),
)
CLIP_VERDICT = Signable(
    "clip verdict",
    ClipVerdict,
    "urn:edgeseg:clip-verdict:1",
    ("passed", "backend", "precision", "reference_sha256", "clips_sha256"),
)
PACKAGE = Signable("model package", PackageManifest, "urn:edgeseg:model-package:1", ("name",))
SIGNABLE = (PASSPORT, VERDICT, CLIP_VERDICT, PACKAGE)


SHA256 = "[0-9a-f]{64}"


class Digests(Part):
    """The digests of a file."""

    sha256: str = pydantic.Field(pattern=f"^{SHA256}$")


class Subject(Part):
    """A file that a statement is about."""

    name: str
    digest: Digests


class Statement(Part):
    """An in-toto Statement v1 (https://github.com/in-toto/attestation) about a document and its engine."""

    statement_type: Literal["https://in-toto.io/Statement/v1"] = pydantic.Field(default=STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, Subject]
    """The document, then the engine, or a package's network."""
    predicate_type: str = pydantic.Field(alias="predicateType")
    predicate: dict[str, Any]
    """``signed_at`` (UTC, ISO 8601, by the signer's clock) and the fields that `Signable.bound` lists."""

    def to_bytes(self) -> bytes:
        """Return the statement as the JSON that is signed."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2).encode()


@dataclass(frozen=True)
class Document:
    """A document that can be signed, as it was read."""

    path: Path
    kind: Signable
    sha256: str
    value: EngineArtifact | Verdict | ClipVerdict | PackageManifest

    @property
    def engine_sha256(self) -> str:
        """The hash of the engine, or of a package's network, that the document is about."""
        return self.value.onnx_sha256 if isinstance(self.value, PackageManifest) else self.value.engine_sha256


def document_of(path: Path, data: bytes) -> Document:
    """Read a passport, a verdict or the manifest of a package.

    Args:
        path: The document's path.
        data: Its bytes.

    Raises:
        BadInputError: It is neither, its JSON has two meanings (a key twice) or none (NaN), or it names no engine.
    """
    parsed = parse_json(data, str(path))
    for kind in SIGNABLE:
        try:
            document = Document(path, kind, sha256_bytes(data), kind.value.model_validate(parsed))
        except pydantic.ValidationError:
            continue
        if not re.fullmatch(SHA256, document.engine_sha256):
            raise BadInputError(
                f"{path} does not say which engine it is about",
                found=f"engine_sha256 {document.engine_sha256!r}",
                expected="64 digits from 0 to f",
            )
        return document
    raise BadInputError(
        f"{path} cannot be signed",
        found="neither a passport nor a verdict, and no model package",
        expected="NAME.engine.json, verdict.json as edgeseg verify --report writes it, or NAME.edgeseg",
        next_command=f"edgeseg inspect {quoted(path)}",
    )


def statement_about(document: Document) -> Statement:
    """Make the statement that binds a document and its engine, as of now."""
    names = {PASSPORT.words: engine_beside(document.path).name, PACKAGE.words: PACKAGE_ONNX}
    engine = names.get(document.kind.words, ENGINE_OF_A_VERDICT)
    fields = document.value.to_dict()
    bound = {name: fields[name] for name in document.kind.bound if fields[name] is not None}
    signed_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Statement(
        subject=(
            Subject(name=document.path.name, digest=Digests(sha256=document.sha256)),
            Subject(name=engine, digest=Digests(sha256=document.engine_sha256)),
        ),
        predicateType=document.kind.predicate_type,
        predicate={"signed_at": signed_at, **bound},
    )


def engine_beside(passport: Path) -> Path:
    """The path of the engine that a passport lies beside: NAME.engine.json -> NAME.engine."""
    return passport.with_suffix("")


def statement_from(payload: bytes, origin: str) -> Statement:
    """Read a statement whose signature has been checked.

    Args:
        payload: The payload of the envelope.
        origin: The envelope, for the message.

    Raises:
        BadInputError: It is no in-toto Statement v1 of ours.
    """
    try:
        return Statement.model_validate(parse_json(payload, f"the payload of {origin}"))
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"the payload of {origin} is no statement about a passport or a verdict",
            found=describe_validation(error),
            expected=f"an in-toto Statement v1 as edgeseg sign writes it ({STATEMENT_TYPE})",
        ) from error


def parse_json(data: bytes, origin: str) -> Any:
    """Parse JSON that everybody must read alike, by `edgeseg.strict_text`.

    Args:
        data: UTF-8 text.
        origin: The text's origin, for the message.

    Raises:
        BadInputError: It is none.
    """
    try:
        return strict_text.parse_json(data.decode())
    except ValueError as error:
        raise BadInputError(f"{origin} is no JSON that can be signed", found=error, expected="plain JSON") from error
