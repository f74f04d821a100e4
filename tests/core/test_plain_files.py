"""Files of strangers: pipes, devices, sparse files, names that no file can have."""

import errno
import os
import socket
from pathlib import Path

import pytest

from edgeseg.errors import BadInputError
from edgeseg.files import read_text, sha256_file
from edgeseg.plain_files import is_plain, open_plain, read_plain


def test_a_plain_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "link").symlink_to("a")
    assert read_plain(tmp_path / "a") == read_plain(tmp_path / "link") == b"text"
    assert read_plain(tmp_path / "a", 4) == b"text"
    assert is_plain(tmp_path / "link")


@pytest.mark.timeout(10)
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name, words in (("pipe", "no regular file"), ("folder", "Is a directory"), ("zeros", "no regular file")):
        with pytest.raises(OSError, match=words):
            read_plain(tmp_path / name)
        with pytest.raises(OSError, match=words):
            sha256_file(tmp_path / name)
        assert not is_plain(tmp_path / name)
        with pytest.raises(BadInputError, match="cannot read") as caught:
            read_text(tmp_path / name, "a recipe")
        assert words in str(caught.value.found)


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match=r"No such device|no regular file"):
            open_plain(tmp_path / "s")


def test_a_terabyte_without_content_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="more than 4294967296 bytes") as caught:
        read_plain(tmp_path / "sparse")
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="more than 4 bytes"):
        (tmp_path / "five").write_bytes(b"12345")
        read_plain(tmp_path / "five", 4)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 300, "x/y"])
def test_a_name_that_no_file_has_is_an_os_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"Errno"):
        read_plain(tmp_path / name)
    assert not is_plain(tmp_path / name)
