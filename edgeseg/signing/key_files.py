"""Ed25519 key pairs as PEM files: made, read, and named by the hash of the public key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import UnwritableError, read_bounded, sha256_bytes, write_bytes
from edgeseg.optional import require
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PRIVATE_SUFFIX = ".key"
PUBLIC_SUFFIX = ".pub"
KEY_BYTES_MAX = 1 << 14
"""The largest file that is read as a key."""
OWNER_ALONE = 0o600
_SIGNER = "securesystemslib.signer"
_SERIALIZATION = "cryptography.hazmat.primitives.serialization"
_EXCEPTIONS = "cryptography.exceptions"
_ED25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key; plain bytes, so that it can be handed to another process."""

    der: bytes
    """The key as SubjectPublicKeyInfo (RFC 8410), 44 bytes."""

    @property
    def key_id(self) -> str:
        """SHA-256 of `der`: `openssl pkey -pubin -in FILE.pub -outform DER | sha256sum` gives the same."""
        return sha256_bytes(self.der)

    def verifier(self) -> SSlibKey:
        """The key as the library takes it, under its `key_id`.

        Raises:
            MissingComponentError: securesystemslib is not installed.
        """
        key: SSlibKey = require(_SIGNER).SSlibKey.from_crypto(
            require(_SERIALIZATION).load_der_public_key(self.der), keyid=self.key_id
        )
        return key


@dataclass(frozen=True)
class KeyPairFiles:
    """The two files of a new key pair."""

    private: Path
    public: Path
    key_id: str


def make_keys(folder: Path, name: str, password: bytes | None = None) -> KeyPairFiles:
    """Make a key pair: ``NAME.key`` (PKCS #8, readable by its owner alone) and ``NAME.pub``.

    Args:
        folder: The folder for both files; it is made if it is not there.
        name: The files' stem.
        password: The password that the private key is encrypted with; None writes it as it is.

    Raises:
        UsageError: The name is no file's name.
        UnwritableError: One of the files exists, or the folder cannot be written.
        MissingComponentError: cryptography is not installed.
    """
    serialization, ed25519 = require(_SERIALIZATION), require(_ED25519)
    if Path(name).name != name or name.startswith("."):
        raise UsageError("a key's name becomes the name of its files", found=name, expected="a name such as release")
    private, public = folder / f"{name}{PRIVATE_SUFFIX}", folder / f"{name}{PUBLIC_SUFFIX}"
    for path in (private, public):
        if os.path.lexists(path):
            raise _exists(path)
    key = ed25519.Ed25519PrivateKey.generate()
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write_private(private, key.private_bytes(pem, pkcs8, encryption))
    try:
        write_bytes(public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    except BaseException:
        private.unlink()
        raise
    return KeyPairFiles(private, public, _public_key(key.public_key()).key_id)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key.

    Args:
        path: PEM, as `make_keys` and `openssl pkey -pubout` write it.

    Raises:
        BadInputError: There is no such file, or it is no Ed25519 public key.
        MissingComponentError: cryptography is not installed.
    """
    serialization, data = require(_SERIALIZATION), read_bounded(path, "an Ed25519 public key", KEY_BYTES_MAX)
    if b"PRIVATE KEY" in data:
        raise BadInputError(
            f"{path} is a private key; signatures are checked with the public one",
            expected=f"the file that ends in {PUBLIC_SUFFIX}",
            next_command=f"openssl pkey -in {quoted(path)} -pubout",
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, require(_EXCEPTIONS).UnsupportedAlgorithm) as error:
        raise _no_key(path, "a public key in PEM", error) from error
    if not isinstance(key, require(_ED25519).Ed25519PublicKey):
        raise _no_key(path, "an Ed25519 public key in PEM", type(key).__name__)
    return _public_key(key)


def read_signer(path: Path, ask_password: Callable[[], bytes]) -> CryptoSigner:
    """Read a private key as what signs with it.

    Args:
        path: PEM, PKCS #8, encrypted or not.
        ask_password: Gives the password; only called for an encrypted key.

    Raises:
        BadInputError: There is no such file, it is no Ed25519 private key, or the password is wrong.
        MissingComponentError: securesystemslib is not installed.
    """
    serialization, signer = require(_SERIALIZATION), require(_SIGNER)
    data = read_bounded(path, "an Ed25519 private key", KEY_BYTES_MAX)
    if b"PUBLIC KEY" in data:
        raise BadInputError(
            f"{path} is a public key; signing takes the private one",
            expected=f"the file that ends in {PRIVATE_SUFFIX}",
        )
    password = ask_password() if b"ENCRYPTED PRIVATE KEY" in data else None
    try:
        key = serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, require(_EXCEPTIONS).UnsupportedAlgorithm) as error:
        if password is not None:
            raise BadInputError(f"the password of {path} is wrong", found=error) from error
        raise _no_key(path, "a private key in PEM", error) from error
    if not isinstance(key, require(_ED25519).Ed25519PrivateKey):
        raise _no_key(path, "an Ed25519 private key in PEM", type(key).__name__)
    public = signer.SSlibKey.from_crypto(key.public_key(), keyid=_public_key(key.public_key()).key_id)
    made: CryptoSigner = signer.CryptoSigner(key, public)
    return made


def readable_by_others(path: Path) -> bool:
    """Tell whether anybody but a file's owner may read it."""
    return bool(path.stat().st_mode & 0o077)


def _public_key(key: Any) -> PublicKey:
    serialization = require(_SERIALIZATION)
    return PublicKey(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else can read at any moment, and that nothing, not even a link, lies in the way of."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise UnwritableError(
            f"cannot write {path}", found=error.strerror or error, next_command="choose another --out"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _exists(path: Path) -> UnwritableError:
    return UnwritableError(
        f"{path} exists, and a key is never replaced",
        expected="a new name",
        next_command="choose another --name, or another --out",
    )


def _no_key(path: Path, expected: str, found: object) -> BadInputError:
    return BadInputError(
        f"{path} cannot be read as a key", found=found, expected=expected, next_command="edgeseg keys new --out DIR"
    )
