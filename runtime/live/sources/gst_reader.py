"""Runs a GStreamer pipeline and writes its pictures to standard output: a program of its own, not imported.

The interpreter that has PyGObject is often not the one that has edgeseg (Debian's and JetPack's python3-gi belongs to
/usr/bin/python3), and a crash or a hang in a vendor's plug-in must not take the picture down. So this file imports
nothing of edgeseg. The pipeline comes by standard input, where no process list shows its passwords; when that closes,
the program ends. Each answer is a JSON header padded to HEADER_BYTES, then as many bytes as its `bytes` says.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from typing import Any

HEADER_BYTES = 1024
SINK = "! videoconvert ! video/x-raw,format=I420 ! appsink name=edgeseg_sink max-buffers=1 drop=true sync=false"
"""The sink that gives the pictures: at most one waits, and a newer one takes its place."""
WAIT_NS = 100_000_000
_REMEMBERED_ARRIVALS = 64


def main() -> int:
    """Read the text of the pipeline and run it until it fails or ends, or nobody listens any more."""
    text = sys.stdin.readline().strip()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstVideo", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp, GstVideo  # noqa: F401 - GstApp gives the sink its methods
    except (ImportError, ValueError) as error:
        answer({"kind": "fault", "reason": f"PyGObject or GStreamer is missing ({error})", "is_permanent": True})
        return 1
    Gst.init(None)
    try:
        pipeline = Gst.parse_launch(f"{text} {SINK}")
    except Exception as error:  # GLib.Error
        reason = f"GStreamer does not take the pipeline: {getattr(error, 'message', error)}"
        answer({"kind": "fault", "reason": reason, "is_permanent": True})
        return 1
    try:
        return Reader(Gst, GstVideo, pipeline).run()
    except BrokenPipeError:
        return 0
    finally:
        pipeline.set_state(Gst.State.NULL)


class Reader:
    """A running pipeline.

    Args:
        gst: The module Gst.
        gst_video: The module GstVideo.
        pipeline: The pipeline, with a sink named `edgeseg_sink`.
    """

    def __init__(self, gst: Any, gst_video: Any, pipeline: Any) -> None:
        self._gst, self._gst_video, self._pipeline = gst, gst_video, pipeline
        self._sink = pipeline.get_by_name("edgeseg_sink")
        self._arrivals: dict[int, int] = {}
        self._decoder = ""
        elements = pipeline.iterate_recurse()
        while True:
            result, element = elements.next()
            if result != gst.IteratorResult.OK:
                break
            self._watch(element)
        pipeline.connect("deep-element-added", lambda _pipeline, _bin, element: self._watch(element))

    def run(self) -> int:
        """Run until the pipeline fails or ends, or standard input closes."""
        gst = self._gst
        bus = self._pipeline.get_bus()
        is_live = self._pipeline.set_state(gst.State.PAUSED) == gst.StateChangeReturn.NO_PREROLL
        self._sink.set_property("sync", not is_live)  # a file at its own pace
        self._pipeline.set_state(gst.State.PLAYING)
        while not select.select([sys.stdin], [], [], 0)[0]:
            sample = self._sink.try_pull_sample(WAIT_NS)
            if sample is not None:
                self._give(sample)
                continue
            message = bus.pop_filtered(gst.MessageType.ERROR | gst.MessageType.EOS)
            if message is not None:
                self._tell(message)
                return 1
        return 0

    def _watch(self, element: Any) -> None:
        """Note when data reach a video decoder."""
        factory = element.get_factory()
        kind = factory.get_metadata("klass") if factory else ""
        pad = element.get_static_pad("sink")
        if pad is not None and "Decoder" in kind and ("Video" in kind or "Image" in kind):
            self._decoder = factory.get_name()
            pad.add_probe(self._gst.PadProbeType.BUFFER, self._arrived)

    def _arrived(self, _pad: Any, info: Any) -> Any:
        self._arrivals[info.get_buffer().pts] = time.monotonic_ns()
        while len(self._arrivals) > _REMEMBERED_ARRIVALS:
            with contextlib.suppress(KeyError, RuntimeError, StopIteration):  # the other thread takes some too
                del self._arrivals[next(iter(self._arrivals))]
        return self._gst.PadProbeReturn.OK

    def _tell(self, message: Any) -> None:
        reason = "the stream ended"
        if message.type == self._gst.MessageType.ERROR:
            error, _ = message.parse_error()
            reason = f"{message.src.get_name()}: {error.message}"
        answer({"kind": "fault", "reason": reason, "is_permanent": False})

    def _give(self, sample: Any) -> None:
        buffer, caps = sample.get_buffer(), sample.get_caps()
        structure = caps.get_structure(0)
        info = video_info(self._gst_video, caps)
        meta = self._gst_video.buffer_get_video_meta(buffer)
        layout = info if meta is None else meta
        readable, data = buffer.map(self._gst.MapFlags.READ)
        if not readable:
            return
        try:
            has_time = buffer.pts != self._gst.CLOCK_TIME_NONE
            header = {
                "kind": "picture",
                "bytes": len(data.data),
                "width": info.width,
                "height": info.height,
                "offsets": list(layout.offset)[:3],
                "strides": list(layout.stride)[:3],
                "rate": [info.fps_n, info.fps_d],
                "aspect": [info.par_n, info.par_d],
                "colorimetry": structure.get_string("colorimetry") or "",
                "arrived_ns": self._arrivals.pop(buffer.pts, time.monotonic_ns()),
                "pts_ns": buffer.pts if has_time else None,
                "damaged": bool(int(buffer.get_flags()) & int(self._gst.BufferFlags.CORRUPTED)),
                "decoder": self._decoder,
            }
            answer(header, data.data)
        finally:
            buffer.unmap(data)


def video_info(gst_video: Any, caps: Any) -> Any:
    """Read the layout of a raw picture; GStreamer before 1.20 has another constructor for it."""
    if hasattr(gst_video.VideoInfo, "new_from_caps"):
        return gst_video.VideoInfo.new_from_caps(caps)
    info = gst_video.VideoInfo()
    info.from_caps(caps)
    return info


def answer(header: dict[str, Any], data: Any = b"") -> None:
    """Write a header and all its bytes."""
    packed = json.dumps(header).encode()
    if len(packed) > HEADER_BYTES:
        packed = json.dumps({**header, "reason": str(header.get("reason"))[:300]}).encode()[:HEADER_BYTES]
    for part in (packed.ljust(HEADER_BYTES), data):
        rest = memoryview(part).cast("B")
        while rest:
            rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    sys.exit(main())
