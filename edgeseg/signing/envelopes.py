"""DSSE envelopes: a payload, its type, and signatures over both (https://github.com/secure-systems-lab/dsse)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.archive_members import archive_of, is_file_or_member
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import read_bounded
from edgeseg.optional import require
from edgeseg.shell import quoted
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.statements import Statement, parse_json, statement_from

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ENVELOPE_SUFFIX = ".dsse.json"
ENVELOPE_BYTES_MAX = 1 << 20
"""The largest file that is read as an envelope; ours have about 2 kB."""
_DSSE = "securesystemslib.dsse"


class SignatureError(MismatchError):
    """A file is not signed by the key that is demanded, or was changed after it was signed."""


def envelope_path(document: Path) -> Path:
    """The path of a document's envelope: NAME.engine.json -> NAME.engine.json.dsse.json."""
    return document.with_name(document.name + ENVELOPE_SUFFIX)


def envelope_bytes(statement: Statement, signer: CryptoSigner) -> bytes:
    """Sign a statement.

    Args:
        statement: The statement.
        signer: The private key.

    Returns:
        The envelope as a JSON file's bytes.
    """
    envelope: Envelope = require(_DSSE).Envelope(statement.to_bytes(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=2).encode() + b"\n"


def read_envelope(document: Path) -> bytes:
    """Read the envelope beside a document.

    Raises:
        SignatureError: There is none.
        BadInputError: It cannot be read, or is too large for one.
    """
    path = envelope_path(document)
    if not path.exists() and not is_file_or_member(path):
        raise SignatureError(
            f"{document} is not signed",
            found=f"no {path.name} beside it",
            expected="the envelope that edgeseg sign writes",
            next_command=f"edgeseg sign {quoted(archive_of(document) or document)} --key FILE.key",
        )
    return read_bounded(path, "an envelope that edgeseg sign writes", ENVELOPE_BYTES_MAX)


def verified_payload(data: bytes, key: PublicKey, document: Path) -> bytes:
    """Give an envelope's payload if the key has signed it.

    Args:
        data: The envelope.
        key: The key that must have signed it.
        document: The document that the envelope lies beside, for messages.

    Raises:
        BadInputError: It is no DSSE envelope in canonical base64, or of another payload type.
        SignatureError: The key has not signed it.
        MissingComponentError: securesystemslib is not installed.
    """
    origin = str(envelope_path(document))
    envelope = _parsed(data, origin)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise BadInputError(
            f"{origin} holds something else than a statement", found=repr(envelope.payload_type), expected=PAYLOAD_TYPE
        )
    signed_by = ", ".join(f"key {key_id}" for key_id in envelope.signatures) or "nobody"
    if key.key_id not in envelope.signatures:
        raise SignatureError(
            f"{document} is signed by another key",
            found=signed_by,
            expected=f"key {key.key_id}",
            next_command=f"edgeseg sign {quoted(document)} --key FILE.key  (with the key that is expected)",
        )
    failure = require("securesystemslib.exceptions").VerificationError
    try:
        envelope.verify([key.verifier()], threshold=1)
    except failure as error:
        raise SignatureError(
            f"the signature in {origin} is not valid",
            found="what was signed, or the signature, was changed, or somebody else signed in this key's name",
            expected=f"a signature by key {key.key_id} over the payload",
            next_command="get the file and its envelope again from who signed it",
        ) from error
    return envelope.payload


def claims_of(path: Path) -> tuple[Statement, tuple[str, ...]]:
    """Read what an envelope claims: its statement, and the ids of the keys that signed it. Nothing is checked.

    Raises:
        BadInputError: It is no envelope of ours.
        MissingComponentError: securesystemslib is not installed.
    """
    envelope = _parsed(read_bounded(path, "an envelope that edgeseg sign writes", ENVELOPE_BYTES_MAX), str(path))
    return statement_from(envelope.payload, str(path)), tuple(envelope.signatures)


def _parsed(data: bytes, origin: str) -> Envelope:
    document = parse_json(data, origin)
    try:
        envelope: Envelope = require(_DSSE).Envelope.from_dict(copy.deepcopy(document))
        is_canonical = envelope.to_dict() == document
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_envelope(origin, f"a field that is missing or malformed ({error})") from error
    if not all(isinstance(key_id, str) and key_id.isprintable() for key_id in envelope.signatures):
        raise _no_envelope(origin, "a keyid that is no text, or cannot be printed")
    if not is_canonical:
        raise _no_envelope(origin, "fields or base64 that can be written in more ways than one")
    return envelope


def _no_envelope(origin: str, found: str) -> BadInputError:
    return BadInputError(
        f"{origin} is no DSSE envelope",
        found=found,
        expected="payload, payloadType and signatures, in canonical base64, as edgeseg sign writes them",
    )
