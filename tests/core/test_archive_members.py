"""Archives that lie: each is refused in words, and a sound one is the same bytes whenever it is made."""

from __future__ import annotations

import contextlib
import hashlib
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from edgeseg.archive_members import MANIFEST, archive_bytes, archive_of, is_file_or_member, read_file, read_members
from edgeseg.files import read_text, sha256_file

MEMBERS = {"b.txt": b"two", MANIFEST: b"{}", "a.txt": b"one"}
EVERYWHERE = "3e1917e26e624c374c7af4b96dfb366fff640866616bff16189917e9fa8f1dcc"
"""The hash of their archive, seen with Python 3.10, 3.11, 3.12 and 3.13."""
Change = Callable[[zipfile.ZipFile], None]


def by_hand(path: Path, change: Change) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        change(archive)
    return path


def named(name: str, mode: int = stat.S_IFREG | 0o644, kind: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, kind
    return info


def test_the_same_members_are_the_same_bytes_and_the_manifest_is_first() -> None:
    data = archive_bytes(MEMBERS)
    assert hashlib.sha256(data).hexdigest() == EVERYWHERE
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == [MANIFEST, "a.txt", "b.txt"] and archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@hypothesis.given(st.dictionaries(st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z"), st.binary(max_size=200), max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.edgeseg"
    path.write_bytes(archive_bytes(members))
    assert read_members(path) == members


@pytest.mark.parametrize("name", ["../a", "/a", "a/b", "", ".hidden", "a\\b", "C:a", "a" * 65, "ä", "a\n"])
def test_a_name_that_leads_anywhere_is_neither_written_nor_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a member"):
        archive_bytes({name: b""})
    path = by_hand(tmp_path / "a.edgeseg", lambda archive: archive.writestr(named(name), b"x"))
    with pytest.raises(OSError, match="no plain file name"):
        read_members(path)


def _of_today(name: str) -> zipfile.ZipInfo:
    info = named(name)
    info.date_time = (2026, 1, 2, 3, 4, 6)
    return info


def _twice(archive: zipfile.ZipFile) -> None:
    archive.writestr(named("a.txt"), b"checked")
    archive.writestr(named("a.txt"), b"opened")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda archive: archive.writestr(named("a", stat.S_IFLNK | 0o777), "/etc/passwd"), "a is a link"),
        (lambda archive: archive.writestr(named("a", stat.S_IFDIR | 0o755), b""), "a folder"),
        (_twice, "2 members called a.txt"),
        (lambda archive: archive.writestr(named("a", kind=zipfile.ZIP_DEFLATED), bytes(10**7)), "could grow"),
        (lambda archive: archive.writestr(named("a", kind=zipfile.ZIP_LZMA), bytes(10**7)), "could grow"),
        (lambda archive: [archive.writestr(named(f"m{n}"), b"") for n in range(33)], "33 members, more than 32"),
        (lambda archive: archive.writestr("a", bytes(10**7), zipfile.ZIP_DEFLATED), "a is compressed"),
        (lambda archive: archive.writestr("a", b"x"), "bytes that do not follow from its members"),
        (lambda archive: archive.writestr(_of_today("a"), b"x"), "bytes that do not follow from its members"),
    ],
)
def test_an_archive_of_others_is_refused_in_words(tmp_path: Path, change: Change, words: str) -> None:
    path = by_hand(tmp_path / "a.edgeseg", change)
    with pytest.raises(OSError, match=words) as caught:
        read_members(path)
    assert caught.value.filename == str(path)


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A zip bomb without compression: the directory names the same bytes again and again."""
    data = archive_bytes({"a": bytes(10_000), "b": b""})
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    entry = bytearray(data[at : data.index(b"PK\x05\x06")])
    entry[20:28] = struct.pack("<II", 9_000, 9_000)
    path = tmp_path / "a.edgeseg"
    path.write_bytes(data[:at] + entry + data[at + len(entry) :])
    with pytest.raises(OSError, match="overlap"):
        read_members(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"MZ" + data,
        lambda data: data + b"more",
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data.replace(b"one", b"One"),
        lambda data: data.replace(b"\x21\x00", b"\x22\x00"),
        lambda data: data[:-2] + b"\x04\x00word",
    ],
)
def test_any_other_byte_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.edgeseg"
    path.write_bytes(damage(archive_bytes(MEMBERS)))
    with pytest.raises(OSError, match=r"damaged one|no zip archive|bytes that do not follow"):
        read_members(path)


@hypothesis.given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    data = bytearray(archive_bytes(MEMBERS))
    data[place % len(data)] ^= 1 << bit
    path = tmp_path_factory.mktemp("bit") / "a.edgeseg"
    path.write_bytes(data)
    with contextlib.suppress(OSError):
        assert read_members(path) != MEMBERS, "another archive, not this one with other bytes"


def test_a_member_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.edgeseg"
    path.write_bytes(archive_bytes(MEMBERS))
    assert archive_of(path / "a.txt") == path and archive_of(path) is None
    assert read_text(path / "a.txt", "text") == "one"
    assert sha256_file(path / "a.txt") == hashlib.sha256(b"one").hexdigest()
    assert is_file_or_member(path / "a.txt") and not is_file_or_member(path / "c.txt")
    with pytest.raises(FileNotFoundError, match=r"no c\.txt in a\.edgeseg"):
        read_file(path / "c.txt")
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_file(path / "a.txt", 2)


def test_a_folder_of_that_name_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "old.edgeseg"
    folder.mkdir()
    (folder / "a.txt").write_text("plain")
    assert archive_of(folder / "a.txt") is None and read_text(folder / "a.txt", "text") == "plain"
