"""Check an engine's passport before the engine is opened: an engine is native code, a changed one is a stranger's."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_bytes
from edgeseg.runtime.engine.backends import backend_named, find_backend
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.passport.bindings import binding_of


def passport_path(engine: Path) -> Path:
    """NAME.engine -> NAME.engine.json."""
    return engine.with_name(engine.name + ".json")


def session_info(passport: EngineArtifact) -> SessionInfo:
    """What a session of the engine says of itself; nothing is loaded for it.

    Raises:
        BadInputError: It is of a backend that is not here.
    """
    return SessionInfo(
        passport.model,
        passport.preprocess,
        passport.backend,
        passport.precision,
        passport.engine_sha256,
        takes_planes=backend_named(passport.backend).input == "planes",
    )


def read_checked(engine: Path) -> tuple[bytes, EngineArtifact]:
    """Read an engine and its passport and hold them against each other.

    Returns:
        The engine's bytes and its passport.

    Raises:
        BadInputError: No such engine, or one that its backend must not be given: no ONNX file, or one with other files.
        MismatchError: No passport, or the engine is not the one it describes.
    """
    try:
        data = engine.read_bytes()
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
    passport = EngineArtifact.read(path)
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
