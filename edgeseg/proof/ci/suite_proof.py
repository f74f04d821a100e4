"""Reaches the verdict of a test suite once, however many processes run the suite."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import Verdict
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.file_locks import alone_in
from edgeseg.files import write_text
from edgeseg.proof.verdict.engine_verdict import model_of, verify_engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import read_checked

FOLDER = "edgeseg"
VERDICT, REFUSAL = "verdict.json", "refusal.txt"


class RefusedProofError(EdgesegError):
    """Another process of the suite was refused the verdict; its message says why."""


@dataclass(frozen=True)
class SuiteRequest:
    """The options of the suite."""

    engine: Path
    data: Path
    split: str
    reference: Path | None = None
    """None takes the model that the passport names."""
    protocol: Path | None = None


def prove_once(request: SuiteRequest, shared: Path) -> Verdict:
    """Give the verdict; the first process to ask reaches it, the others wait for it and read it.

    Args:
        request: What to prove.
        shared: A folder that the processes of one run share and no other run has.

    Raises:
        EdgesegError: As `edgeseg.verify` raises, or what it raised in the process that came first.
    """
    folder = shared / FOLDER
    folder.mkdir(exist_ok=True)
    with alone_in(folder):
        if (folder / REFUSAL).is_file():
            raise RefusedProofError((folder / REFUSAL).read_text(encoding="utf-8"))
        if (folder / VERDICT).is_file():
            return Verdict.read(folder / VERDICT)
        try:
            verdict = _prove(request)
        except EdgesegError as error:
            write_text(folder / REFUSAL, str(error))
            raise
        verdict.write(folder / VERDICT)
    return verdict


def _prove(request: SuiteRequest) -> Verdict:
    reference = request.reference or _built_from(request.engine)
    verdict = verify_engine(
        request.engine,
        functools.partial(open_engine, reference),
        request.data,
        request.split,
        reference=reference,
        protocol=request.protocol,
    )
    if verdict.next_command is not None:
        return verdict
    words = ["edgeseg", "verify", str(request.engine), "--reference", str(reference), "--data", str(request.data)]
    words += ["--split", request.split, "--report", "proof"]
    return verdict.model_copy(update={"next_command": shlex.join(words)})


def _built_from(engine: Path) -> Path:
    _, passport = read_checked(engine)
    model = model_of(passport)
    if model is None:
        raise UsageError(
            "the engine needs a reference",
            found=f"the model that {engine} was built from is not where it was",
            expected="--edgeseg-reference MODEL",
        )
    return model
