"""The error tree: a failure that a user can meet says what happened, was found, was expected, and what to type next.

The exit code of the command line belongs to the class; a bare `EdgesegError` is a defect of ours.
"""

from __future__ import annotations

_HIDDEN = {
    number: f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
    for number in (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters but tab and new line, and those that turn the direction of text."""


def shown(text: str) -> str:
    """A text as a terminal may show it: a file's words move no cursor, change no title and hide nothing."""
    return text.translate(_HIDDEN)


class EdgesegError(Exception):
    """A failure with a message for a person.

    Args:
        what: What happened, one sentence without a full stop.
        found: What was found, where that helps.
        expected: What was expected instead.
        next_command: The command (or act) that mends it.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        found: object | None = None,
        expected: object | None = None,
        next_command: str | None = None,
    ) -> None:
        self.what = shown(what)
        self.found = None if found is None else shown(str(found))
        self.expected = None if expected is None else shown(str(expected))
        self.next_command = None if next_command is None else shown(next_command)
        super().__init__(self.what)

    def __str__(self) -> str:
        parts = [self.what]
        parts += [f"  {label:<9} {text}" for label, text in self._details() if text is not None]
        return "\n".join(parts)

    def in_one_line(self) -> str:
        """The same in one line, for a table or a list."""
        details = [self.what, *(detail for detail in (self.found, self.next_command) if detail)]
        return "; ".join(" ".join(detail.split()) for detail in details)

    def to_dict(self) -> dict[str, str | int | None]:
        """The same as a JSON-ready mapping, for `--json`."""
        details = {label.rstrip(":"): text for label, text in self._details()}
        return {"error": type(self).__name__, "exit_code": self.exit_code, "what": self.what, **details}

    def _details(self) -> list[tuple[str, str | None]]:
        return [("found:", self.found), ("expected:", self.expected), ("next:", self.next_command)]


class UsageError(EdgesegError):
    """The command was called in a way that cannot mean anything."""

    exit_code = 2


class ToleranceError(EdgesegError):
    """A measured accuracy or latency is out of tolerance, or could not be decided."""

    exit_code = 3


class MissingComponentError(EdgesegError):
    """A package, library or piece of hardware is not on this machine."""

    exit_code = 4


class BadInputError(EdgesegError):
    """A file or folder that was handed in cannot be used."""

    exit_code = 5


class MismatchError(EdgesegError):
    """Two artifacts do not belong together, or one was changed after it was made."""

    exit_code = 6
