import hashlib
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.files import (
    UnwritableError,
    atomic_file,
    atomic_folder,
    check_writable,
    leftovers,
    sha256_file,
    sha256_of_hashes,
    write_bytes,
)


class InterruptedWriteError(Exception):
    pass


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.bin"
    with pytest.raises(InterruptedWriteError), atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        raise InterruptedWriteError
    assert list(tmp_path.iterdir()) == []
    write_bytes(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert [p.name for p in path.parent.iterdir()] == ["out.bin"]


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_bytes(path, b"former")
    with pytest.raises(InterruptedWriteError), atomic_file(path) as temporary:
        temporary.write_bytes(b"new")
        raise InterruptedWriteError
    assert path.read_bytes() == b"former"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        write_bytes(tmp_path / "f", b"")
        with atomic_folder(tmp_path / "d"):
            pass
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "clip.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"x")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(InterruptedWriteError), atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("x")
        raise InterruptedWriteError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("x")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(UnwritableError), atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "precious").read_text() == "x"


@pytest.mark.parametrize("path", ["file/out", "file/deeper/out"])
def test_a_place_below_a_file_is_unwritable(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnwritableError) as caught:
        check_writable(tmp_path / path)
    assert caught.value.exit_code == 5
    with pytest.raises(UnwritableError):
        write_bytes(tmp_path / path, b"")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnwritableError, match="out") as caught:
        write_bytes(tmp_path / "out", b"x")
    assert caught.value.found == "No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_sha256_and_sets_have_no_order(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()
    assert sha256_of_hashes(["b", "a"]) == sha256_of_hashes(["a", "b"]) != sha256_of_hashes(["a"])


WRITING = """
import sys, time
from pathlib import Path
from edgeseg.files import atomic_file, atomic_folder
with atomic_file(Path("clip.mp4")) as clip, atomic_folder(Path("masks")) as masks:
    clip.write_bytes(b"half")
    (masks / "frame_000000.png").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_left_is_named_and_what_is_in_work_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip, masks = tmp_path / "clip.mp4", tmp_path / "masks"
    with subprocess.Popen([sys.executable, "-c", WRITING], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert leftovers(clip) == leftovers(masks) == []
        process.send_signal(signal.SIGKILL)
    assert [path.read_bytes() for path in leftovers(clip)] == [b"half"]
    assert [path.is_dir() for path in leftovers(masks)] == [True]
    (tmp_path / ".clip-of-mine.mp4").touch()
    (tmp_path / ".clips-aaaaaaaa.mp4").touch()
    with caplog.at_level(logging.WARNING):
        check_writable(clip)
        check_writable(masks)
        check_writable(tmp_path / "other.mp4")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all(f"rm -r {tmp_path}/.{name}-" in text for name, text in zip(("clip", "masks"), said, strict=True))
    write_bytes(clip, b"whole")
    assert clip.read_bytes() == b"whole" and len(leftovers(clip)) == 1


def test_an_output_in_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    assert leftovers(tmp_path / "nowhere" / "x.json") == []
