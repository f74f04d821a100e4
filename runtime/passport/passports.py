"""Checks an engine's passport before the engine is opened: it is native code, and may be a stranger's."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import read_bounded, sha256_bytes
from edgeseg.plain_files import read_plain
from edgeseg.runtime.engine.backends import backend_named, find_backend
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.passport.bindings import binding_of
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.signatures import DOCUMENT_BYTES_MAX, check_signed_engine


def passport_path(engine: Path) -> Path:
    """The path of an engine's passport: NAME.engine -> NAME.engine.json."""
    return engine.with_name(engine.name + ".json")


def session_info(passport: EngineArtifact) -> SessionInfo:
    """The facts that the open engine would state; nothing is loaded for it.

    Raises:
        BadInputError: Its backend does not exist here.
    """
    return SessionInfo(
        passport.model,
        passport.preprocess,
        passport.backend,
        passport.precision,
        passport.engine_sha256,
        takes_planes=backend_named(passport.backend).input == "planes",
    )


def read_checked(engine: Path, signed_by: PublicKey | None = None) -> tuple[bytes, EngineArtifact]:
    """Read an engine and its passport and check one against the other.

    Args:
        engine: NAME.engine, with NAME.engine.json beside it.
        signed_by: The key that must have signed them; None demands no signature.

    Returns:
        The engine's bytes and its passport, both as they were checked: nothing is read a second time.

    Raises:
        BadInputError: There is no such engine, or its backend must not be given it: it is no ONNX file, or
            refers to other files.
        MismatchError: There is no passport, it describes another engine, or they are not signed by the key.
    """
    try:
        data = read_plain(engine)
    except OSError as error:
        raise BadInputError(
            f"cannot read the engine {engine}",
            found=error.strerror or error,
            next_command="edgeseg build-engine MODEL --precision int8 --out NAME.engine",
        ) from error
    path = passport_path(engine)
    if not path.is_file():
        raise MismatchError(
            f"{engine} has no passport, so nothing says what it is",
            found="an engine alone",
            expected=str(path),
            next_command="copy the .engine.json file along, or build the engine again with edgeseg build-engine",
        )
    described = read_bounded(path, "an engine's passport", DOCUMENT_BYTES_MAX)
    if signed_by is not None:
        check_signed_engine(path, described, data, signed_by)
    passport = EngineArtifact.from_json(described, str(path))
    found = sha256_bytes(data)
    if found != passport.engine_sha256:
        raise MismatchError(
            f"{engine} is not the engine that its passport describes; it was changed after it was built",
            found=f"sha256 {found}",
            expected=f"sha256 {passport.engine_sha256}",
            next_command=passport.rebuild,
        )
    if find_backend(passport.backend) is not None:
        binding_of(passport.backend).check_file(data, str(engine))
    return data, passport
