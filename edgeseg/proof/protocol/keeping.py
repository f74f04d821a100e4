"""Says whether a verdict kept to its protocol, and takes that into the verdict.

A verdict that did not is never 'passed'. It fails where the engine does, and else it is undecided (exit code 3): the
figures were measured and stay on record, but they do not answer the question that was asked beforehand. Exit code 6
would be a refusal, which leaves no record of the deviation.
"""

from __future__ import annotations

import datetime
from typing import TypeVar

from edgeseg.artifacts import ClipVerdict, ProtocolRecord, Verdict, VerdictLimits
from edgeseg.proof.ci.verdict_figures import clips_of
from edgeseg.proof.protocol.protocol_file import ProtocolFile
from edgeseg.proof.verdict.rules import Finding, conclude, results

RULE = "protocol"
AnyVerdict = TypeVar("AnyVerdict", Verdict, ClipVerdict)


def held_to(file: ProtocolFile, verdict: AnyVerdict, built: datetime.datetime | None) -> AnyVerdict:
    """Give the verdict that names its protocol and says if it was kept.

    Args:
        file: The protocol.
        verdict: What was concluded without it.
        built: The time at which the engine was built; None where its passport does not say.
    """
    deviations = find_deviations(file, verdict, built)
    findings: list[Finding] = _findings(file, deviations)
    outcome = conclude([Finding(verdict.passed, ""), *findings])
    former, own = verdict.reasons, tuple(finding.reason for finding in findings)
    record = ProtocolRecord(
        sha256=file.sha256,
        set_by=file.protocol.set_by,
        set_at=file.protocol.set_at,
        kept=not deviations,
        deviations=tuple(deviations),
    )
    update = {
        "passed": outcome,
        "reasons": former + own if outcome == verdict.passed else own + former,
        "rules": verdict.rules + results({RULE: findings}),
        "protocol": record,
    }
    return verdict.model_copy(update=update)


def _findings(file: ProtocolFile, deviations: list[str]) -> list[Finding]:
    protocol, name = file.protocol, file.path.name
    if deviations:
        return [Finding("undecided", f"the protocol {name} was not kept: {words}") for words in deviations]
    origin = f"sha256 {file.sha256[:12]}..., set by {protocol.set_by} at {protocol.set_at.isoformat()}"
    return [Finding(True, f"the protocol {name} was kept ({origin})")]


def find_deviations(file: ProtocolFile, verdict: Verdict | ClipVerdict, built: datetime.datetime | None) -> list[str]:
    """List each way in which a verdict did not keep to a protocol, one sentence each.

    What is judged beyond the protocol (a baseline, further limits or clips) can only make a verdict worse, so it is
    no deviation.

    Args:
        file: The protocol.
        verdict: What was judged.
        built: The time at which the engine was built; None where its passport does not say.
    """
    protocol = file.protocol
    images = verdict if isinstance(verdict, Verdict) else None
    clips = clips_of(verdict)
    found = ["it was edited after it was set; its seal does not fit"] if file.edited else []
    found += _order(protocol.set_at, built)
    if protocol.data is not None:
        agreed = f"{protocol.data.images} of split {protocol.data.split}"
        judged = None if images is None else images.data_sha256
        found += _other_content("labelled images", agreed, protocol.data.sha256, judged)
    if protocol.clips is not None:
        judged = None if clips is None else clips.clips_sha256
        found += _other_content("clips", f"{protocol.clips.clips} clips", protocol.clips.sha256, judged)
    if protocol.limits is not None and images is not None:
        found += _other_limits(protocol.limits, images.limits)
    return found


def _order(set_at: datetime.datetime, built: datetime.datetime | None) -> list[str]:
    if built is None:
        return [
            "the passport does not say when the engine was built, so nobody can tell which came first; build it anew"
        ]
    if set_at > built:
        return [f"it is of {set_at.isoformat()}, and the engine was built before, at {built.isoformat()}"]
    return []


def _other_content(what: str, agreed: str, expected: str, found: str | None) -> list[str]:
    if found is None:
        return [f"it fixes {what}, and none were judged"]
    if found != expected:
        return [f"other {what} were judged: sha256 {found}, the protocol has {expected} ({agreed})"]
    return []


def _other_limits(agreed: VerdictLimits, judged: VerdictLimits) -> list[str]:
    pairs = [(name, value, getattr(judged, name)) for name, value in agreed.model_dump(exclude_none=True).items()]
    return [
        f"--{name.replace('_', '-')} {found:g} was judged, the protocol fixes {value:g}"
        for name, value, found in pairs
        if found != value
    ]
