"""Model packages in one file: what they must hold, and that every reader takes them for packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.archive_members import MANIFEST, archive_bytes, read_members
from edgeseg.artifact_text import describe
from edgeseg.artifacts import PackageManifest
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.package_archive import ENVELOPE, add_envelope, read_archive, write_archive
from edgeseg.packages import find_model, onnx_of


@pytest.fixture
def archive(tiny_onnx: Path, tmp_path: Path) -> Path:
    path = tmp_path / "renamed.edgeseg"
    write_archive(path, "tiny", {"model.onnx": tiny_onnx.read_bytes(), "card.md": b"# tiny\n"})
    return path


def rewritten(path: Path, **members: bytes | None) -> Path:
    """The archive with other members, and with a manifest that says nothing of them."""
    kept = {**read_members(path), **{name.replace("_", "."): data for name, data in members.items()}}
    path.write_bytes(archive_bytes({name: data for name, data in kept.items() if data is not None}))
    return path


def test_it_is_a_package_with_the_name_inside(archive: Path, tiny_onnx: Path) -> None:
    files = find_model(archive)
    assert (files.kind, files.name, files.path, files.calibration) == ("package", "tiny", archive, None)
    assert load_onnx(onnx_of(files)).sha256 == sha256_bytes(tiny_onnx.read_bytes())
    assert describe(archive).facts["package"] == "tiny" and describe(archive).facts["card"]


def test_the_same_files_give_the_same_archive(archive: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    write_archive(tmp_path / "b.edgeseg", "tiny", {"card.md": b"# tiny\n", "model.onnx": tiny_onnx.read_bytes()})
    assert (tmp_path / "b.edgeseg").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"card_md": b"# another\n"}, "card.md with sha256"),
        ({"model_onnx": b"another"}, "model.onnx with sha256"),
        ({"card_md": None}, "no card.md"),
        ({"more_md": b""}, "more.md, which the manifest does not name"),
    ],
)
def test_what_the_manifest_does_not_name_is_refused(archive: Path, members: dict[str, bytes], found: str) -> None:
    with pytest.raises(MismatchError, match="does not hold what its manifest names") as caught:
        find_model(rewritten(archive, **members))
    assert found in str(caught.value.found)


def test_without_a_manifest_or_a_network_it_is_none(archive: Path) -> None:
    hashes = {"card.md": sha256_bytes(b"# tiny\n")}
    manifest = f'{{"schema_version": 1, "name": "tiny", "files": {{"card.md": "{hashes["card.md"]}"}}}}'
    with pytest.raises(BadInputError, match=r"no model\.onnx|manifest"):
        find_model(rewritten(archive, manifest_json=manifest.encode(), model_onnx=None))
    with pytest.raises(BadInputError, match="does not say what it holds"):
        find_model(rewritten(archive, manifest_json=None))


def test_what_is_no_archive_says_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "a.edgeseg"
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(BadInputError, match="cannot be read as a model package") as caught:
        find_model(path)
    assert "zip archive" in str(caught.value.found) and caught.value.next_command


def test_an_envelope_changes_nothing_else(archive: Path) -> None:
    before = read_members(archive)
    for envelope in (b"first", b"second"):
        add_envelope(archive, envelope)
        assert read_archive(archive).members == {**before, ENVELOPE: envelope}


def test_a_manifest_is_finite_and_names_hashes() -> None:
    for document in (
        '{"schema_version": 1, "name": "../x", "files": {"model.onnx": "' + "0" * 64 + '"}}',
        '{"schema_version": 1, "name": "x", "files": {"model.onnx": "0"}}',
    ):
        with pytest.raises(BadInputError):
            PackageManifest.from_json(document, MANIFEST)
