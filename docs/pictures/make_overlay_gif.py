"""Make overlay.gif out of a clip of `make demo`: python docs/pictures/make_overlay_gif.py demo/overlay.mp4 ."""

from __future__ import annotations

import sys
from pathlib import Path

import av
from PIL import Image

FIRST, COUNT, STEP = 6, 32, 1
SIZE = (440, 330)


def main(clip: Path) -> None:
    """Take some frames of the clip, smaller, each with a palette that keeps the rare colour of the outline."""
    with av.open(str(clip)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)][FIRST : FIRST + COUNT * STEP : STEP]
    pictures = [
        frame.resize(SIZE, Image.Resampling.LANCZOS).quantize(128, method=Image.Quantize.MAXCOVERAGE)
        for frame in frames
    ]
    out = Path(__file__).with_name("overlay.gif")
    pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=100, loop=0, optimize=True)
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
