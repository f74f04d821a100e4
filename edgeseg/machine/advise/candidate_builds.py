"""Builds the engines that are weighed, into one folder; those that a former run left there are taken over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.artifacts import CalibrationTable, EngineArtifact
from edgeseg.calibration.selection import choose_images
from edgeseg.calibration.table_cache import calibrate_once
from edgeseg.calibration.table_check import check_table
from edgeseg.dataset import SPLITS, hash_pairs, load_images
from edgeseg.errors import BadInputError, EdgesegError, MismatchError
from edgeseg.export.build import CALIBRATION_IMAGES, BuildOptions, build_engine
from edgeseg.export.mixing.accuracy_limits import AccuracyLimits
from edgeseg.export.mixing.way_back import NoMixHoldsError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.machine.advise.advice_values import (
    KINDS,
    PRECISION_OF,
    AdviseOptions,
    Candidate,
    Kind,
    SearchFindings,
)
from edgeseg.optional import require
from edgeseg.packages import ModelFiles
from edgeseg.precision_search import PrecisionSearch
from edgeseg.progress import Say, Track
from edgeseg.runtime.engine.backends import backend_named
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.shell import quoted

ORDER: tuple[Kind, ...] = ("fp32", "fp16", "int8", "mixed")


@dataclass(frozen=True)
class Workshop:
    """Everything that the engines of one advice are built from."""

    files: ModelFiles
    artifact: OnnxArtifact
    options: AdviseOptions
    track: Track
    say: Say
    searches: list[SearchFindings] = field(default_factory=list)
    """The findings of the searches for mixes; they come as the searches end."""

    def build_all(self, backends: Sequence[str]) -> list[Candidate]:
        """Build every kind on every backend; what cannot be built says why.

        Raises:
            BadInputError: The calibration table that was named cannot be read.
            MismatchError: It belongs to another network.
        """
        table = self._table()
        jobs = [(backend, kind) for backend in backends for kind in ORDER]
        built: list[Candidate] = []
        for number, (backend, kind) in enumerate(jobs, 1):
            self.say(f"{backend} {kind}: building, {number} of {len(jobs)}")
            always_alone = backend == backends[0]
            built += self._candidate(backend, kind, table, always_alone)
        return sorted(built, key=lambda one: (backends.index(one.backend), KINDS.index(one.kind)))

    def _candidate(self, backend: str, kind: Kind, table: Path | None, always_alone: bool) -> Iterator[Candidate]:
        """One candidate; none where no convolution had to leave INT8, so that the mix would be INT8 itself."""
        if PRECISION_OF[kind] == "int8" and table is None:
            yield Candidate(backend=backend, kind=kind, reasons=(self._no_table(),))
            return
        path = self.options.out / f"{self.files.name}.{backend}.{kind}.engine"
        limits = self._limits(always_alone) if kind == "mixed" else None
        try:
            passport = self._former(path, table, limits) or self._built(path, backend, kind, table, limits)
        except NoMixHoldsError as error:
            self.searches.append(SearchFindings(backend=backend, holds=False, record=error.search))
            yield Candidate(backend=backend, kind=kind, reasons=(f"{error.what}; {error.found}",))
            return
        except EdgesegError as error:
            yield Candidate(backend=backend, kind=kind, reasons=(error.in_one_line(),))
            return
        search = _search_of(passport)
        if search is not None:
            self.searches.append(SearchFindings(backend=backend, holds=True, record=search))
        if search is None or search.sent_back:
            yield Candidate(
                backend=backend,
                kind=kind,
                file=path.name,
                engine_sha256=passport.engine_sha256,
                engine_bytes=passport.engine_bytes,
                convolutions=passport.convolutions,
                int8_convolutions=passport.int8_convolutions,
                reasons=(),
            )

    def _built(
        self, path: Path, backend: str, kind: Kind, table: Path | None, limits: AccuracyLimits | None
    ) -> EngineArtifact:
        precision = PRECISION_OF[kind]
        calibration = table if precision == "int8" and table != self.files.calibration else None
        options = BuildOptions(precision, backend, calibration, out=path, limits=limits, keep_int8=True)
        return build_engine(self.files.path, options, self.track, self.say).passport

    def _limits(self, always_alone: bool) -> AccuracyLimits:
        options = self.options
        return AccuracyLimits(options.data, options.max_dice_drop, options.max_lost_polyps, always_alone)

    def _former(self, path: Path, table: Path | None, limits: AccuracyLimits | None) -> EngineArtifact | None:
        """The passport of the engine that a former run built of the same things, if it is there and whole."""
        try:
            passport = read_checked(path)[1]
        except (BadInputError, MismatchError):
            return None
        version = getattr(require(backend_named(passport.backend).package), "__version__", None)
        found = passport.onnx_sha256, passport.backend_version, passport.calibration_sha256
        needs_table = passport.precision == "int8" and table is not None
        wanted = self.artifact.sha256, version, CalibrationTable.read(table).sha256 if needs_table and table else None
        if found != wanted or (limits is not None and not self._same_search(_search_of(passport), limits)):
            return None
        self.say(f"{path}: taken over from a former run")
        return passport

    def _same_search(self, search: PrecisionSearch | None, limits: AccuracyLimits) -> bool:
        if search is None or (limits.always_alone and not search.tried_alone):
            return False
        demanded = limits.as_demanded()
        same_limits = (search.max_dice_drop, search.max_lost_polyps) == (
            demanded.max_dice_drop,
            demanded.max_lost_polyps,
        )
        pairs = limits.pairs(self.artifact.metadata.model.channels)
        return same_limits and search.data_sha256 == hash_pairs(pairs)

    def _table(self) -> Path | None:
        """The calibration table: the one that was named, the model's own, or one made of the train split."""
        path = self.options.calibration or self.files.calibration
        if path is not None:
            check_table(self.artifact, CalibrationTable.read(path), None)
            return path
        if not (self.options.data / SPLITS[0]).is_dir():
            return None
        images = choose_images(load_images(self.options.data, SPLITS[0]), CALIBRATION_IMAGES)
        path = self.options.out / f"{self.files.name}.calibration.json"
        self.say(f"this model brings no calibration table: making one of {len(images)} images of the train split")
        table = calibrate_once(self.artifact, images, self.options.data, self.track, say=self.say)
        with contextlib.suppress(BadInputError):
            if CalibrationTable.read(path) == table:
                return path
        table.write(path)
        return path

    def _no_table(self) -> str:
        return (
            "INT8 needs a calibration table, and this model has none; edgeseg calibrate "
            f"{quoted(self.files.path)} --data DIR --out {quoted(self.files.path.with_suffix('.calibration.json'))}"
        )


def _search_of(passport: EngineArtifact) -> PrecisionSearch | None:
    return None if passport.build is None else passport.build.search
