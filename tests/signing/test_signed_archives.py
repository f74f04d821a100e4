"""Signatures of model packages in one file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.archive_members import MANIFEST, archive_bytes, read_members
from edgeseg.errors import MismatchError
from edgeseg.package_archive import ENVELOPE, add_envelope, write_archive
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.opener.engine_from_file import open_here
from edgeseg.runtime.opener.use import Use
from edgeseg.signing.envelopes import SignatureError
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.signatures import check_files, check_signed_archive
from tests.signing.hand_made import KeyByHand, open_by_hand

Sign = Callable[..., None]


@pytest.fixture
def unsigned(tiny_onnx: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.edgeseg"
    write_archive(path, "tiny", {"model.onnx": tiny_onnx.read_bytes(), "card.md": b"# tiny\n"})
    return path


@pytest.fixture
def archive(unsigned: Path, sign: Sign) -> Path:
    sign(unsigned)
    return unsigned


def test_the_signature_lies_inside_and_binds_the_manifest(archive: Path, key: PublicKey) -> None:
    assert ENVELOPE in read_members(archive)
    (signed,) = check_files([archive], key)
    assert signed.statement.subject[1].name == "model.onnx"
    assert signed.document.engine_sha256 == check_signed_archive(archive, key).manifest.onnx_sha256
    assert signed.statement.predicate["name"] == "tiny"


def test_only_what_is_signed_is_opened(archive: Path, unsigned: Path, key: PublicKey, key_files: Path) -> None:
    layout = SessionLayout()
    assert open_here(archive, layout, key).info.model.height == 32
    assert Use(signed_by=key).signed_by == key
    archive.write_bytes(archive_bytes({name: data for name, data in read_members(archive).items() if name != ENVELOPE}))
    with pytest.raises(SignatureError, match="is not signed") as caught:
        open_here(archive, layout, key)
    assert str(caught.value.next_command).startswith(f"edgeseg sign {archive} ")


def test_another_key_is_refused(unsigned: Path, sign: Sign, key: PublicKey) -> None:
    sign(unsigned, "other")
    with pytest.raises(SignatureError, match="is signed by another key"):
        open_here(unsigned, SessionLayout(), key)


def test_another_network_under_a_manifest_of_its_own_is_refused(archive: Path, key: PublicKey) -> None:
    envelope = read_members(archive)[ENVELOPE]
    card = {"model.onnx": read_members(archive)["model.onnx"], "card.md": b"# a better one\n"}
    write_archive(archive, "tiny", card)
    archive.write_bytes(archive_bytes({**read_members(archive), ENVELOPE: envelope}))
    for check in (lambda: check_files([archive], key), lambda: open_here(archive, SessionLayout(), key)):
        with pytest.raises(SignatureError, match="was changed after it was signed"):
            check()


def test_another_member_under_the_signed_manifest_is_refused(archive: Path, key: PublicKey, sign: Sign) -> None:
    archive.write_bytes(archive_bytes({**read_members(archive), "card.md": b"# a better one\n"}))
    for check in (lambda: check_files([archive], key), lambda: sign(archive)):
        with pytest.raises(MismatchError, match="does not hold what its manifest names"):
            check()


def test_a_manifest_that_was_signed_as_a_verdict_is_refused(
    archive: Path, key: PublicKey, key_by_hand: KeyByHand, key_files: Path, tmp_path: Path
) -> None:
    envelope = tmp_path / "envelope"
    envelope.write_bytes(read_members(archive)[ENVELOPE])
    statement = open_by_hand(envelope, key_files / "release.pub")
    statement["predicateType"] = "urn:edgeseg:verdict:1"
    add_envelope(archive, key_by_hand.envelope(json.dumps(statement).encode()).encode())
    for check in (lambda: check_files([archive], key), lambda: open_here(archive, SessionLayout(), key)):
        with pytest.raises(SignatureError, match="was signed as something else"):
            check()


def test_a_manifest_is_no_passport(archive: Path, passport: Path, key: PublicKey) -> None:
    """The envelope of an engine's passport, put into an archive, vouches for nothing there."""
    envelope = passport.with_name(f"{passport.name}.dsse.json").read_bytes()
    archive.write_bytes(archive_bytes({**read_members(archive), ENVELOPE: envelope}))
    with pytest.raises(SignatureError, match="envelope of another file"):
        check_signed_archive(archive, key)
    assert MANIFEST in read_members(archive)
