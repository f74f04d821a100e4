"""DSSE by hand: the pre-authentication encoding written out, signed and checked by `cryptography` alone."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

IN_TOTO = "application/vnd.in-toto+json"


def encoded(kind: str, payload: bytes) -> bytes:
    """DSSEv1, then the length and the bytes of the type and of the payload, with blanks between."""
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload])


def open_by_hand(envelope: Path, public_key: Path) -> dict[str, Any]:
    """The statement in an envelope, once its one signature has been checked."""
    document = json.loads(envelope.read_text())
    key = serialization.load_pem_public_key(public_key.read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    payload = base64.b64decode(document["payload"])
    (signature,) = document["signatures"]
    key.verify(base64.b64decode(signature["sig"]), encoded(document["payloadType"], payload))
    statement: dict[str, Any] = json.loads(payload)
    return statement


@dataclass(frozen=True)
class KeyByHand:
    """A private key that makes envelopes without our code."""

    key: Ed25519PrivateKey

    @classmethod
    def read(cls, path: Path) -> KeyByHand:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return cls(key)

    @property
    def key_id(self) -> str:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self.key.public_key().public_bytes(serialization.Encoding.DER, kind)).hexdigest()

    def envelope(self, payload: bytes, kind: str = IN_TOTO) -> str:
        signature = self.key.sign(encoded(kind, payload))
        signatures = [{"keyid": self.key_id, "sig": base64.b64encode(signature).decode()}]
        text = base64.b64encode(payload).decode()
        return json.dumps({"payloadType": kind, "payload": text, "signatures": signatures})
