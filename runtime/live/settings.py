"""All that a live stream is told, as the command line and its TOML file say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.runtime.live.sources.contract import SourceOptions
    from edgeseg.runtime.video.overlay import OverlayMode
    from edgeseg.signing.key_files import PublicKey


def _source_options() -> SourceOptions:
    """The defaults; imported late, because the command line reads this file's defaults for its help."""
    from edgeseg.runtime.live.sources.contract import SourceOptions

    return SourceOptions()


@dataclass(frozen=True)
class PageSettings:
    """The page's address, and who may see it."""

    address: str
    """HOST:PORT."""
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class EngineSettings:
    """The engine's processes."""

    active: int = 1
    """Number of processes that are given frames at a time."""
    spares: int = 1
    """Loaded and warm, to take over."""
    threads: int = 0
    """Inside one inference on a CPU; 0 takes every usable core."""


@dataclass(frozen=True)
class OutputSettings:
    """The recordings and streams to make; None where nothing is asked for."""

    overlay: Path | None = None
    """FILE.mp4 with the overlay."""
    raw: Path | None = None
    """FILE.mp4 as it came."""
    masks: Path | None = None
    """A folder of PNG files, or FILE.jsonl of COCO run lengths."""
    events: Path | None = None
    """FILE.jsonl."""
    addresses: tuple[str, ...] = ()
    """URLs that the picture with its overlay is sent to."""

    def files(self) -> tuple[Path, ...]:
        """All paths."""
        return tuple(path for path in (self.overlay, self.raw, self.masks, self.events) if path is not None)


@dataclass(frozen=True)
class WatchSettings:
    """The drift watch; none where neither a reference nor statistics are named."""

    reference: Path | None = None
    """An .onnx file, a model package or another engine."""
    every: int = 50
    """Frames that the engine segmented from one check to the next."""
    statistics: Path | None = None
    """Statistics of the training pictures; None looks beside engine and reference."""
    fall_back: bool = False
    """Go over to the reference when the engine drifts away from it."""


@dataclass(frozen=True)
class RollOutSettings:
    """A new engine beside the one that runs; none where none is named."""

    shadow: Path | None = None
    """An .engine file, an .onnx file or a package."""
    limit_ms: float | None = None
    """The median inference beyond which it is taken back once it is shown; None takes twice the old engine's."""


@dataclass(frozen=True)
class LiveSettings:
    """One live stream. Those of one box differ in name, source and outputs."""

    engine: Path
    """An .engine file, an .onnx file or a package."""
    source: str
    name: str = ""
    """Its name among several streams; empty where there is one and nobody named it."""
    signed_by: PublicKey | None = None
    """The key that must have signed the engine, and the reference; None demands no signature."""
    source_options: SourceOptions = field(default_factory=_source_options)
    processes: EngineSettings = field(default_factory=EngineSettings)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    page: PageSettings | None = None
    watch: WatchSettings = field(default_factory=WatchSettings)
    roll_out: RollOutSettings = field(default_factory=RollOutSettings)
    show: OverlayMode = "contour"
    sync: bool = False
    """Every frame with its own mask, a fixed time later."""
    delay_ms: float | None = None
    """Delay of synchronous mode; None measures what the engine needs."""
    mask_limit_ms: float | None = None
    """How old a shown mask may be; None takes inference and two frame periods."""
    gate: bool = True
    """Hold masks back where no tissue is shown."""
    record_gated: bool = True
    """True if frames that show no tissue may be recorded."""
    stabilise: bool = False
    steady: bool = False
    """Withhold marks until they have lasted for some frames."""
    max_frames: int | None = None
    seconds: float | None = None
