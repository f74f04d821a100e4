"""Commands as a person can paste them into a shell."""

from __future__ import annotations

import shlex


def quoted(word: object) -> str:
    """A path or name as one word of a POSIX shell: in quotes where it has blanks or other signs that a shell reads."""
    return shlex.quote(str(word))
