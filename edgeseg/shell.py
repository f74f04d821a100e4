"""Commands as a person can paste them into a shell."""

from __future__ import annotations

import re
import shlex

from edgeseg.errors import shown

_QUOTED = re.compile(r"""'[^']*'|"'\"""")
_PLAIN = re.compile(r"edgeseg [a-z][a-z-]*( [\w@%+=:,./-]*)*", re.ASCII)


def quoted(word: object) -> str:
    """A path or name as one word of a POSIX shell: in quotes where it has blanks or other signs that a shell reads."""
    return shlex.quote(str(word))


def is_own_command(text: str) -> bool:
    """Tell whether a line does nothing in a shell but start `edgeseg` with words that `quoted` wrote.

    A file of strangers may say what to type next, and people paste it.
    """
    return "\n" not in text and shown(text) == text and _PLAIN.fullmatch(_QUOTED.sub("", text)) is not None
