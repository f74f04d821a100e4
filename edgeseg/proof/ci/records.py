"""Writes a verdict where continuous integration looks for it."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifacts import ClipVerdict, Verdict
from edgeseg.errors import UsageError
from edgeseg.files import UnwritableError, check_writable_file, write_text
from edgeseg.proof.ci.junit_xml import junit_of
from edgeseg.proof.ci.step_summary import summary_of


def check_records(junit: Path | None, summary: Path | None, *inputs: Path | None) -> None:
    """Refuse places that could not be written, before hours of inference.

    Args:
        junit: File for JUnit XML.
        summary: Markdown file.
        inputs: Files that are read; None stands for one that was not named.

    Raises:
        UnwritableError: A folder, or below one that cannot be written.
        UsageError: Both are one file, or one is an input.
    """
    for path in (junit, summary):
        if path is not None:
            check_writable_file(path, *inputs)
    if junit is not None and summary is not None and junit.absolute() == summary.absolute():
        raise UsageError("--junit and --summary name one file", found=junit, expected="two files")


def write_records(verdict: Verdict | ClipVerdict, junit: Path | None, summary: Path | None) -> None:
    """Write the records that were asked for.

    Args:
        verdict: What was concluded.
        junit: File for JUnit XML, replaced.
        summary: Markdown file that is appended to, as `$GITHUB_STEP_SUMMARY` is meant: other steps write there, too.

    Raises:
        UnwritableError: A file cannot be written.
    """
    if junit is not None:
        write_text(junit, junit_of(verdict))
    if summary is not None:
        _append(
            summary, f"\n{summary_of(verdict)}" if summary.exists() and summary.stat().st_size else summary_of(verdict)
        )


def _append(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
    except OSError as error:
        raise UnwritableError(
            f"cannot write {path}", found=error.strerror or error, next_command="choose another --summary"
        ) from error
