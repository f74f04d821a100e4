from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.runtime.live.sinks.lines import JsonLines
from edgeseg.runtime.live.sinks.rle import coco_rle
from edgeseg.runtime.live.sinks.shown_masks import MaskLines, MaskPictures
from edgeseg.runtime.live.sinks.sink_choice import event_sink, mask_sink

coco = pytest.importorskip("pycocotools.mask", reason="pip install pycocotools")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_coco_reads_our_run_lengths_and_writes_the_same(height: int, width: int, seed: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8) * np.uint8(255)
    ours = coco_rle(mask)
    theirs = coco.encode(np.asfortranarray(mask // 255))
    assert (ours["size"], ours["counts"]) == (theirs["size"], theirs["counts"].decode())
    assert np.array_equal(coco.decode(ours), mask // 255)
    assert int(coco.area(ours)) == cv2.countNonZero(mask)


def test_a_large_blob_goes_there_and_back() -> None:
    mask: NDArray[np.uint8] = np.zeros((1080, 1920), np.uint8)
    cv2.ellipse(mask, (900, 500), (400, 250), 20, 0, 360, 2, -1)  # the second class of several
    assert np.array_equal(coco.decode(coco_rle(mask)), mask > 0)


def test_each_mask_is_written_once_with_its_times(tmp_path: Path, showing: Any) -> None:
    lines, pictures = MaskLines(tmp_path / "m.jsonl"), MaskPictures(tmp_path / "masks")
    for writer in (lines, pictures):
        writer.write(showing(0))
        for index in range(1, 6):  # a new mask every second frame
            writer.write(showing(index, area=0.25 + index / 100, mask_index=index - index % 2))
        writer.close()
    documents = lines_of(tmp_path / "m.jsonl")
    assert [(line["frame"], line["shown_on"], line["shown_on_s"]) for line in documents] == [
        (0, 1, 5.04),
        (2, 2, 5.08),
        (4, 4, 5.16),
    ]
    assert coco.decode(documents[1]["segmentation"]).sum() == 17 * 128
    assert documents[0]["time"] < documents[1]["time"] and documents[0]["time"].endswith("Z")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [
        "frame_000000.png",
        "frame_000002.png",
        "frame_000004.png",
        "masks.jsonl",
    ]
    png = cv2.imread(str(tmp_path / "masks" / "frame_000002.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(png // 255, coco.decode(documents[1]["segmentation"]))
    assert [line["file"] for line in lines_of(tmp_path / "masks" / "masks.jsonl")][1] == "frame_000002.png"


@pytest.mark.parametrize("name", ["m.jsonl", "masks"])
def test_a_mask_that_is_shown_again_is_not_counted_again(tmp_path: Path, showing: Any, name: str) -> None:
    sink = mask_sink(tmp_path / name)
    sink.offer(showing(0))
    for index in range(1, 6):
        sink.offer(showing(index, area=0.25, mask_index=index - index % 2))
    sink.close(5)
    counts = sink.counts()
    assert (counts.written, counts.dropped, counts.state) == (3, 0, "closed")
    written = lines_of(tmp_path / name if name.endswith("l") else tmp_path / name / "masks.jsonl")
    assert len(written) == counts.written


def test_a_picture_that_a_killed_run_left_half_written_is_named(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / ".frame_000007.png.part").touch()
    MaskPictures(tmp_path / "masks").close()
    assert ".frame_000007.png.part" in caplog.text


def test_masks_of_an_earlier_run_are_not_written_over(tmp_path: Path, showing: Any) -> None:
    for area in (0.25, 0.5):
        writer = MaskPictures(tmp_path / "masks")
        writer.write(showing(0, area=area))
        writer.close()
    files = [line["file"] for line in lines_of(tmp_path / "masks" / "masks.jsonl")]
    shares = [cv2.imread(str(tmp_path / "masks" / file), cv2.IMREAD_UNCHANGED).mean() / 255 for file in files]
    assert shares == [0.25, 0.5]


def test_lines_go_on_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    lines = JsonLines(path)
    lines.add({"a": 3})
    assert path.read_text().splitlines() == ['{"a": 1}', '{"a": ', '{"a": 3}']  # there at once, not at the end
    lines.close()


def events_of(
    tmp_path: Path, showing: Any, areas: list[float | None], private: range = range(0)
) -> list[dict[str, Any]]:
    sink = event_sink(tmp_path / "events.jsonl", "polyp")
    for index, area in enumerate(areas):
        sink.offer(showing(index, 240, 320, area=area, recordable=index not in private))
    sink.close(20)
    path = tmp_path / "events.jsonl"
    lines = lines_of(path) if path.exists() else []
    assert [_but_clock(line) for line in lines] == [_but_clock(event) for event in sink.newest()]
    return lines


def _but_clock(event: dict[str, Any]) -> dict[str, Any]:
    """The page tells the same events as the file; the moment of writing and the picture are the file's own."""
    return {key: value for key, value in event.items() if key not in ("time", "until", "thumbnail")}


def test_a_polyp_appears_and_leaves_with_time_size_and_picture(tmp_path: Path, showing: Any) -> None:
    areas: list[float | None] = [None] * 10 + [0.1] * 20 + [0.4] + [0.2] * 19 + [None] * 50
    appeared, left = events_of(tmp_path, showing, areas)
    assert (appeared["event"], left["event"]) == ("appeared", "left")
    assert appeared["frame"] == left["frame"] == 10 and appeared["time"][:-2] == left["time"][:-2]
    assert left["duration_s"] == pytest.approx(39 / 25, abs=0.001)
    assert (left["largest_area_fraction"], left["structure"], left["confidence"]) == (0.4, "polyp", 0.9)
    thumbnail = cv2.imread(str(tmp_path / left["thumbnail"]))
    expected = showing(30, 240, 320, area=0.4).overlay.bgr
    assert thumbnail.shape == (240, 320, 3)
    assert np.abs(thumbnail.astype(int) - expected).mean() < 6


def test_flicker_is_no_event_and_a_gap_ends_none(tmp_path: Path, showing: Any) -> None:
    flicker: list[float | None] = [0.1, 0.1, None, None, None, None, None, None, None, None, None] * 10
    assert events_of(tmp_path / "flicker", showing, flicker) == []
    gaps: list[float | None] = ([0.1] * 20 + [None] * 20) * 3
    events = events_of(tmp_path / "gaps", showing, gaps)
    assert [event["event"] for event in events] == ["appeared", "left"]
    specks: list[float | None] = [0.0005] * 100
    assert events_of(tmp_path / "specks", showing, specks) == []
    twice: list[float | None] = [0.1] * 20 + [None] * 40 + [0.1] * 20
    events = events_of(tmp_path / "twice", showing, twice)
    assert [(event["event"], event["frame"]) for event in events] == [
        ("appeared", 0),
        ("left", 0),
        ("appeared", 60),
        ("left", 60),
    ]
    assert len({event.get("thumbnail") for event in events}) == 3


def test_no_picture_is_kept_of_private_frames(tmp_path: Path, showing: Any) -> None:
    left = events_of(tmp_path, showing, [0.2] * 30, private=range(30))[-1]
    assert left["thumbnail"] is None
    assert not list((tmp_path / "events").iterdir())


def test_without_a_file_the_newest_events_are_kept_in_memory(showing: Any) -> None:
    sink = event_sink(None, "polyp")
    for index in range(300 * 60):
        sink.offer(showing(index, 8, 8, area=0.5 if index % 60 < 20 else None))
        if index == 20:
            assert [event["event"] for event in sink.newest()] == ["appeared"], "before it has left"
    sink.close(20)
    assert len(sink.newest()) == 200
    assert [event["event"] for event in sink.newest()][-2:] == ["appeared", "left"]
    assert sink.counts().written == 600


def test_sinks_by_name(tmp_path: Path, showing: Any) -> None:
    sinks = [mask_sink(tmp_path / "m.jsonl"), mask_sink(tmp_path / "m")]
    for index in range(5):
        for sink in sinks:
            sink.offer(showing(index, area=0.3))
    for sink in sinks:
        sink.close(20)
        assert (sink.counts().written, sink.counts().state) == (5, "closed")
    assert len(lines_of(tmp_path / "m.jsonl")) == len(list((tmp_path / "m").glob("*.png"))) == 5


def test_alarms_of_the_drift_watch_are_events_where_they_begin_and_end(tmp_path: Path, showing: Any) -> None:
    sink = event_sink(tmp_path / "events.jsonl", "polyp")
    for index, alarms in enumerate([(), ("dice",), ("dice", "hue"), ("hue",), ()]):
        sink.offer(replace(showing(index), alarms=alarms))
    sink.close(20)
    found = [(line["event"], line["alarm"], line["frame"]) for line in lines_of(tmp_path / "events.jsonl")]
    assert found == [
        ("drift began", "dice", 1),
        ("drift began", "hue", 2),
        ("drift ended", "dice", 3),
        ("drift ended", "hue", 4),
    ]
    assert sink.newest() == [], "the page has them from the drift watch itself"


def test_new_files_are_begun_where_the_old_ones_were_moved_away(tmp_path: Path, showing: Any, until: Any) -> None:
    """As logrotate does it: rename first, tell later. What comes in between goes to the renamed ones."""
    sinks: list[Any] = [
        mask_sink(tmp_path / "m.jsonl"),
        mask_sink(tmp_path / "m"),
        event_sink(tmp_path / "e.jsonl", "polyp"),
    ]
    names = ["m.jsonl", "m", "e.jsonl", "e"]

    def offer(indices: range) -> None:
        for index in indices:
            until(lambda: all(not sink._waiting for sink in sinks[:2]))
            for sink in sinks:
                sink.offer(showing(index, area=0.3 if index % 40 < 10 else None))

    offer(range(80))
    until(lambda: sinks[2].counts().written == 4)
    for name in names:
        (tmp_path / name).rename(tmp_path / f"old-{name}")
    offer(range(80, 88))
    until(lambda: sinks[0].counts().written == sinks[1].counts().written == 28)
    assert not any((tmp_path / name).exists() for name in names)
    for sink in sinks:
        sink.reopen()
    offer(range(88, 200))
    for sink in sinks:
        sink.close(20)
    old, new = lines_of(tmp_path / "old-m.jsonl"), lines_of(tmp_path / "m.jsonl")
    assert [line["frame"] for line in [*old, *new]] == [index for index in range(200) if index % 40 < 10]
    for folder, lines in (("old-m", old), ("m", new)):
        assert sorted(path.name for path in (tmp_path / folder).glob("*.png")) == [
            f"frame_{line['frame']:06d}.png" for line in lines
        ]
    events = [*lines_of(tmp_path / "old-e.jsonl"), *lines_of(tmp_path / "e.jsonl")]
    assert [event["event"] for event in events] == ["appeared", "left"] * 5
    assert len([*(tmp_path / "old-e").iterdir(), *(tmp_path / "e").iterdir()]) == 5
    assert all(sink.counts().failures == sink.counts().dropped == 0 for sink in sinks)
