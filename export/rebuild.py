"""Repeat a build by the passport of its engine, and say whether the bytes are the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.export.build import BuildOptions, BuildResult, build_engine
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.shell import quoted


@dataclass(frozen=True)
class RebuildResult:
    """A repeated build beside the former one."""

    result: BuildResult
    former: EngineArtifact

    @property
    def identical(self) -> bool:
        """True if the engine is the former one, byte for byte."""
        return self.result.passport.engine_sha256 == self.former.engine_sha256

    @property
    def differences(self) -> list[str]:
        """List what is known to differ beside the bytes.

        Even without any, bytes may differ: TensorRT chooses kernels by timing them, and TensorRT-RTX numbers its
        internal tensors anew in each build with a range of batches.
        """
        before, after = self.former, self.result.passport
        pairs = {
            "backend version": (before.backend_version, after.backend_version),
            "GPU": (before.binding.gpu, after.binding.gpu),
            "driver": (before.binding.driver, after.binding.driver),
            "INT8 convolutions": (before.int8_convolutions, after.int8_convolutions),
        }
        if before.timings and after.timings:
            pairs["kernel timings"] = (before.timings.sha256[:12], after.timings.sha256[:12])
        return [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]

    @property
    def next_command(self) -> str | None:
        """The proof that other bytes need; None for the former ones, whose verdict holds."""
        if self.identical or self.former.build is None:
            return None
        model = self.former.build.model
        return f"edgeseg verify {quoted(self.result.engine)} --reference {quoted(model)} --data DIR"


def rebuild_engine(passport: Path, out: Path | None = None, track: Track = silent, say: Say = quiet) -> RebuildResult:
    """Build an engine again: same network, precision plan, backend, calibration and builder options.

    Args:
        passport: NAME.engine.json.
        out: None writes NAME.engine beside the passport, in place of the former one.
        track: Shows progress.
        say: Hears how far the backend has come.

    Raises:
        BadInputError: No passport, or one that does not say what it was built from.
        MismatchError: The network or the calibration is not the former one.
        MissingComponentError: The backend is not on this machine.
    """
    former = EngineArtifact.read(passport)
    if former.build is None:
        raise BadInputError(
            f"{passport} does not say what its engine was built from",
            found="a passport of an older edgeseg",
            next_command=former.rebuild,
        )
    if out is None and passport.suffix != ".json":
        raise BadInputError(f"{passport} is not named like a passport", expected="NAME.engine.json, or --out FILE")
    options = BuildOptions(
        former.precision,
        former.backend,
        _path(former.build.calibration),
        _path(former.build.calibration_data),
        out or passport.with_suffix(""),
        TensorRtOptions.from_flags(former.build_flags),
        former.precision_plan,
        _path(former.build.precision_plan),
        former=former,
        method=former.build.method,
    )
    return RebuildResult(build_engine(Path(former.build.model), options, track, say), former)


def _path(recorded: str | None) -> Path | None:
    return None if recorded is None else Path(recorded)
