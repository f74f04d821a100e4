from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import UsageError
from edgeseg.runtime.live.settings import LiveSettings, OutputSettings
from edgeseg.runtime.live.stream_names import address_of_stream, file_of_stream, streams_of

OUTPUTS = OutputSettings(Path("a/o.mp4"), Path("r.mp4"), Path("masks"), Path("e.jsonl"), ("rtsp://h/live",))


def _streams(*sources: str, outputs: OutputSettings = OUTPUTS) -> list[tuple[str, str]]:
    found = streams_of(LiveSettings(Path("a.engine"), "", outputs=outputs), sources)
    return [(stream.name, stream.source) for stream in found]


def test_one_source_is_what_it_always_was() -> None:
    settings = LiveSettings(Path("a.engine"), "synthetic:", outputs=OUTPUTS)
    assert streams_of(settings, ["synthetic:"]) == (settings,)


def test_several_have_names_or_numbers() -> None:
    assert _streams("left=rtsp://u:p@h/a?x=1", "camera:0") == [("left", "rtsp://u:p@h/a?x=1"), ("2", "camera:0")]
    assert _streams("left=camera:0") == [("left", "camera:0")]


@pytest.mark.parametrize(
    "source",
    ["rtsp://h/a?b=c", "gst:rtspsrc location=rtsp://h/a ! decodebin", "/data/a=b.mp4", "./a=b.mp4", "a b=c.mp4"],
)
def test_an_equals_sign_alone_makes_no_name(source: str) -> None:
    assert _streams(source) == [("", source)]


def test_a_file_whose_name_looks_like_one_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _streams("a=b.mp4") == [("a", "b.mp4")]
    Path("a=b.mp4").touch()
    assert _streams("a=b.mp4") == [("", "a=b.mp4")]


def test_each_stream_has_outputs_of_its_own() -> None:
    left, right = streams_of(LiveSettings(Path("a.engine"), "", outputs=OUTPUTS), ["left=camera:0", "right=camera:1"])
    assert left.outputs == OutputSettings(
        Path("a/o-left.mp4"), Path("r-left.mp4"), Path("masks-left"), Path("e-left.jsonl"), ("rtsp://h/live-left",)
    )
    assert not set(left.outputs.files()) & set(right.outputs.files())


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("rtsp://host:8554/live", "rtsp://host:8554/live-x"),
        ("rtsp://host/a/b.sdp?c=d/e", "rtsp://host/a/b-x.sdp?c=d/e"),
        ("rtmp://host/app/key.1", "rtmp://host/app/key-x.1"),
        ("folder/live.m3u8", "folder/live-x.m3u8"),
    ],
)
def test_a_name_goes_into_the_last_part_of_an_address(address: str, named: str) -> None:
    assert address_of_stream(address, "x") == named


@pytest.mark.parametrize("address", ["udp://host:5000", "srt://host:9000?streamid=a/b", "rtsp://host/"])
def test_an_address_with_no_place_for_a_name_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no path"):
        address_of_stream(address, "x")


def test_the_folder_of_here_holds_a_folder_a_stream() -> None:
    assert file_of_stream(Path(), "x") == Path("x")


def test_names_and_standard_input_occur_once() -> None:
    with pytest.raises(UsageError, match="same name"):
        _streams("a=camera:0", "a=camera:1")
    with pytest.raises(UsageError, match="same name"):
        _streams("2=camera:0", "camera:1")
    with pytest.raises(UsageError, match="once only"):
        _streams("-", "b=-")
