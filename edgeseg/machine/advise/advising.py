"""The advice: build, weigh, choose, and write the page."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path

import edgeseg
from edgeseg.dataset import Pair, hash_pairs, load_pairs
from edgeseg.errors import MissingComponentError
from edgeseg.files import check_writable, write_text
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.machine.advise import advice_words as words
from edgeseg.machine.advise.advice_page import HTML_NAME, JSON_NAME, render_page
from edgeseg.machine.advise.advice_values import (
    KINDS,
    PRECISION_OF,
    AbsentBackend,
    Advice,
    AdviseOptions,
    Answer,
    Candidate,
    SearchFindings,
)
from edgeseg.machine.advise.candidate_builds import Workshop
from edgeseg.machine.advise.choice import Choice, choose
from edgeseg.machine.advise.weighing import Weighed, weigh
from edgeseg.machine.doctor.checks import DoctorReport
from edgeseg.packages import find_model, onnx_of
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.verdict.engine_verdict import DEFAULT_SPLIT, Demands
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.shell import quoted


def advise(
    model: Path, options: AdviseOptions, machine: DoctorReport, track: Track = silent, say: Say = quiet
) -> Advice:
    """Build a network in every precision, weigh the engines, and say which one to ship on this machine.

    Engines and passports stay in `options.out`, beside `advice.json` and `advice.html`. Each file there is whole; a
    later run takes over the engines that it would build again, and weighs them anew.

    Args:
        model: An .onnx file or a model package.
        options: What was asked for.
        machine: What the doctor found here.
        track: Shows progress.
        say: Hears what comes next.

    Raises:
        BadInputError: The model, the table or the data cannot be used.
        MismatchError: The calibration table belongs to another network.
        MissingComponentError: A backend that was asked for does not execute here.
        UsageError: A limit that is no limit.
    """
    limits_for("int8", options.max_dice_drop, None, options.max_lost_polyps)
    files = find_model(model)
    artifact = load_onnx(onnx_of(files))
    backends, absent = _backends(options, machine)
    check_writable(options.out / JSON_NAME)
    pairs = load_pairs(options.data, options.split, classes=artifact.metadata.model.channels)
    workshop = Workshop(files, artifact, options, track, say)
    weighed = weigh(workshop.build_all(backends), model, pairs, options, track, say)
    advice = _concluded(model, artifact, options, machine, pairs, weighed, workshop.searches, absent)
    write_text(options.out / HTML_NAME, render_page(advice))
    advice.write(options.out / JSON_NAME)
    return advice


def _concluded(
    model: Path,
    artifact: OnnxArtifact,
    options: AdviseOptions,
    machine: DoctorReport,
    pairs: Sequence[Pair],
    weighed: Weighed,
    searches: Sequence[SearchFindings],
    absent: Sequence[AbsentBackend],
) -> Advice:
    choice = _choice(weighed)
    advised = None if choice is None else choice.advised
    candidates = tuple(_beside(one, advised, weighed) for one in weighed.candidates)
    doubted = {one.name for one in choice.doubted_by} if choice is not None else set()
    doubts = [one for one in candidates if one.name in doubted]
    undecided = any(one.holds == "undecided" for one in candidates)
    answer: Answer = "undecided" if doubts or undecided else "nothing holds"
    answer = "ship" if advised is not None and not doubts else answer
    data_sha256 = hash_pairs(pairs)
    engine = None if advised is None else str(options.out / (advised.file or ""))
    return Advice(
        answer=answer,
        headline=words.headline(advised, doubts, candidates, undecided),
        sentences=(
            *words.sentences(advised, doubts, candidates, weighed.timing, len(pairs), options.split),
            *words.same_pictures(searches, data_sha256),
            *words.absent_in_words(absent),
        ),
        advised=None if advised is None else advised.name,
        engine=engine,
        int8_worth=_int8_worth(advised, answer, candidates),
        next_commands=_next_commands(model, engine, options, answer),
        candidates=candidates,
        absent=tuple(absent),
        searches=tuple(searches),
        timing=weighed.timing,
        model_path=str(model),
        model=artifact.metadata.model,
        onnx_sha256=artifact.sha256,
        data=str(options.data),
        split=options.split,
        data_sha256=data_sha256,
        image_count=len(pairs),
        reference_mean_dice=weighed.reference_mean_dice,
        max_dice_drop=options.max_dice_drop,
        max_lost_polyps=options.max_lost_polyps,
        machine=machine.machine,
        gpu=weighed.gpu,
        edgeseg_version=edgeseg.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def _backends(options: AdviseOptions, machine: DoctorReport) -> tuple[list[str], list[AbsentBackend]]:
    """Those that build and execute here, or those of them that were asked for; and the others, with what they lack."""
    for name in options.backends:
        state = machine.backend(name)
        if not (state.builds and state.runs):
            raise MissingComponentError(
                f"the backend {name} does not execute here, so nothing can be measured on it",
                found=state.reason,
                expected=f"all that `edgeseg doctor --backend {quoted(name)}` names",
                next_command=state.next_command or "edgeseg doctor",
            )
    here = [state.name for state in machine.backends if state.builds and state.runs]
    absent = [
        AbsentBackend(backend=state.name, reason=state.reason, next_command=state.next_command)
        for state in machine.backends
        if state.name not in here
    ]
    return list(options.backends) or here, absent


def _choice(weighed: Weighed) -> Choice[Candidate] | None:
    holding = [one for one in weighed.candidates if one.holds is True]
    if not holding or weighed.timing is None:
        return None

    def ms(one: Candidate) -> float:
        assert one.undisturbed_ms is not None
        return one.undisturbed_ms

    return choose(holding, weighed.share, ms, lambda one: KINDS.index(one.kind), weighed.timing.noise)


def _beside(one: Candidate, advised: Candidate | None, weighed: Weighed) -> Candidate:
    """The candidate with its time over the advised one's."""
    if advised is None or one.end_to_end is None or one.name == advised.name:
        return one
    return one.model_copy(update={"over_advised": weighed.share(one, advised)})


def _int8_worth(advised: Candidate | None, answer: Answer, candidates: Sequence[Candidate]) -> bool | None:
    measured = any(PRECISION_OF[one.kind] == "int8" and one.end_to_end is not None for one in candidates)
    if advised is None or answer != "ship" or not measured:
        return None
    return PRECISION_OF[advised.kind] == "int8"


def _next_commands(model: Path, engine: str | None, options: AdviseOptions, answer: Answer) -> tuple[str, ...]:
    split = [] if options.split == DEFAULT_SPLIT else ["--split", options.split]
    limits = Demands(options.max_dice_drop, max_lost_polyps=options.max_lost_polyps).words()
    data = ["--data", str(options.data), *split]
    if engine is None:
        return (shlex.join(["edgeseg", "evaluate", str(model), str(options.data), *split]),)
    again = ["edgeseg", "advise", str(model), *data, *limits, "--out", str(options.out)]
    longer = [*again, "--seconds", f"{4 * options.seconds:g}"]
    lines = [
        *([] if answer == "ship" else [longer]),
        ["edgeseg", "verify", engine, "--reference", str(model), *data, *limits, "--report", "proof"],
        ["edgeseg", "bench", engine],
        ["edgeseg", "run", engine, "VIDEO", "--out", "overlay.mp4", "--masks", "masks"],
        ["edgeseg", "live", engine, "camera:0", "--web", "127.0.0.1:8080"],
    ]
    return tuple(shlex.join(line) for line in lines)
