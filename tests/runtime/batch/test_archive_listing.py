from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import BadInputError
from edgeseg.runtime.batch.archive_listing import list_archive, read_manifest
from edgeseg.runtime.batch.archive_source import ArchiveSource, shown_location

fsspec = pytest.importorskip("fsspec", reason="archives need the extra `cluster`")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("v10.mp4", "v2.mkv", "deep/er/v1.ts", "p/b.png", "p/a.JPG", "p/v.avi", "x.doc", ".trash/v.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(sources: list[ArchiveSource], folder: Path) -> list[str]:
    return [source.name.replace(str(folder), "").lstrip("/") for source in sources]


def test_a_folder_to_the_bottom(folder: Path) -> None:
    listing = list_archive([str(folder)])
    assert names(listing.sources, folder) == ["deep/er/v1.ts", "p", "p/v.avi", "v2.mkv", "v10.mp4"]
    (pictures,) = [source for source in listing.sources if source.kind == "pictures"]
    assert [Path(file.name).name for file in pictures.files] == ["a.JPG", "b.png"]
    assert listing.passed_over == {".doc": 1}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*.mp4", ["v10.mp4"]), ("**/*.ts", ["deep/er/v1.ts"]), ("v[12].*", ["v2.mkv"]), ("x.do?", ["x.doc"])],
)
def test_globs(pattern: str, found: list[str], folder: Path) -> None:
    """A file that a glob finds is taken whatever its suffix, as one that is named."""
    assert names(list_archive([f"{folder}/{pattern}"]).sources, folder) == found


def test_a_source_that_is_named_twice_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "p")
    listing = list_archive([str(folder / "v2.mkv"), "../v2.mkv", f"file://{folder}/v2.mkv"])
    assert names(listing.sources, folder) == ["v2.mkv"]


def test_manifests(folder: Path) -> None:
    (folder / "list.txt").write_text("# videos\n\nv2.mkv\n deep \nmemory://nowhere/gone.mp4\n")
    (folder / "list.csv").write_text('patient,source\n1,"v10.mp4"\n2,p/v.avi\n3,\n')
    assert names(list_archive([str(folder / "list.txt")]).sources, folder) == [
        "deep/er/v1.ts",
        "v2.mkv",
        "memory://nowhere/gone.mp4",
    ]
    assert names(list_archive([str(folder / "list.csv")]).sources, folder) == ["p/v.avi", "v10.mp4"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("l.csv", "path\nv.mp4\n", "no column source"), ("l.txt", "other.csv\n", "lists another manifest")],
)
def test_manifests_that_are_none(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=words):
        read_manifest(tmp_path / name)


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no source at"):
        list_archive([str(tmp_path / "gone.mp4")])
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(BadInputError, match="no video and no picture") as caught:
        list_archive([str(tmp_path)])
    assert "1 .doc" in str(caught.value)
    with pytest.raises(BadInputError, match="cannot read unknown://"):
        list_archive(["unknown://u:secret@host/a.mp4"])


def test_the_key_tells_sources_apart_and_the_version_their_content(folder: Path) -> None:
    before = {source.name: source for source in list_archive([str(folder)]).sources}
    assert len({source.key for source in before.values()}) == len(before)
    (folder / "v2.mkv").write_bytes(b"other")
    after = {source.name: source for source in list_archive([str(folder)]).sources}
    changed = [name for name in before if before[name].version != after[name].version]
    assert changed == [str(folder / "v2.mkv")]
    assert all(before[name].key == after[name].key for name in before)


def test_files_behind_urls() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/box/b/v2.mp4", "/box/b/v10.mp4", "/box/b/p.png", "/box/b/readme.md"):
        memory.pipe(name, b"x")
    try:
        listing = list_archive(["memory://box"])
        assert [source.name for source in listing.sources] == [
            "memory:///box/b",
            "memory:///box/b/v2.mp4",
            "memory:///box/b/v10.mp4",
        ]
        assert all(source.is_remote for source in listing.sources)
        assert listing.passed_over == {".md": 1}
        assert [source.name for source in list_archive(["memory://box/*/v1*"]).sources] == ["memory:///box/b/v10.mp4"]
    finally:
        memory.rm("/box", recursive=True)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("sftp://u:secret@host/a/b.mp4", "sftp://host/a/b.mp4"),
        ("https://host/a.mp4?token=secret#x", "https://host/a.mp4"),
        ("zip://a.mp4::https://u:secret@host/x.zip?k=secret", "zip://a.mp4::https://host/x.zip"),
        ("/a/b?c.mp4", "/a/b?c.mp4"),
    ],
)
def test_urls_are_shown_without_secrets(location: str, shown: str) -> None:
    assert shown_location(location) == shown
