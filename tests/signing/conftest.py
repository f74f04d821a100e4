from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("securesystemslib", reason="pip install 'edgeseg[sign]'")

from edgeseg.signing.envelopes import envelope_path
from edgeseg.signing.key_files import PublicKey, make_keys, read_public_key, read_signer
from edgeseg.signing.signatures import sign_files
from tests.signing.hand_made import KeyByHand


def no_password() -> bytes:
    raise AssertionError("nobody should be asked")


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the key pairs release and other."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("release", "other"):
        make_keys(folder, name)
    return folder


@pytest.fixture(scope="session")
def key(key_files: Path) -> PublicKey:
    return read_public_key(key_files / "release.pub")


@pytest.fixture(scope="session")
def key_by_hand(key_files: Path) -> KeyByHand:
    """The private key of release, in the hands of `cryptography` alone."""
    return KeyByHand.read(key_files / "release.key")


@pytest.fixture
def sign(key_files: Path) -> Callable[..., None]:
    """A function that signs a document with a key pair of `key_files`."""

    def signed(path: Path, name: str = "release") -> None:
        sign_files([path], read_signer(key_files / f"{name}.key", no_password))

    return signed


@pytest.fixture
def passport(tiny_engine: Path, sign: Callable[..., None]) -> Path:
    """The passport of an engine, signed by release."""
    path = tiny_engine.with_name(f"{tiny_engine.name}.json")
    sign(path)
    return path


@pytest.fixture
def envelope(passport: Path) -> Path:
    return envelope_path(passport)


@pytest.fixture
def rewrite(envelope: Path) -> Callable[..., None]:
    """A function that sets fields of the envelope, or of its one signature."""

    def set_fields(**fields: object) -> None:
        document = json.loads(envelope.read_text())
        for name, value in fields.items():
            (document["signatures"][0] if name in ("keyid", "sig") else document)[name] = value
        envelope.write_text(json.dumps(document))

    return set_fields
