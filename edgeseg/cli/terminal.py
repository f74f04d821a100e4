"""Output for any terminal: a character that its encoding lacks is written in plain ones instead of being an error."""

from __future__ import annotations

import codecs
import io
import sys

HANDLER = "edgeseg.plain"
PLAIN = {
    **dict.fromkeys("─━═╌╍┄┅╴╶╸╺╼╾–−‐‑", "-"),
    **dict.fromkeys("│┃║╎╏┆┇╵╷╹╻", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋┡┩╇╈╞╡╪╔╗╚╝╠╣╦╩╬╭╮╯╰╟╢╤╧┠┨┢┪┯┷┿", "+"),
    **dict.fromkeys("█▉▊▋▌▍▎▏▓▒░", "#"),
    "—": "--",
    "…": "...",
    "→": "->",
    "←": "<-",
    "⇒": "=>",
    "↑": "^",
    "↓": "v",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "±": "+/-",
    "×": "x",
    "·": ".",
    "•": "*",
    "°": "",
    "µ": "u",
    "μ": "u",
    "²": "^2",
    "✓": "ok",
    "✗": "no",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("“”„", '"'),
}
"""Stand-ins for characters that cannot be written; signs that draw lines keep their width."""


def fit_streams() -> None:
    """Let stdout and stderr write whatever they are given, in the encoding that the user has set."""
    codecs.register_error(HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None or something else where a program has replaced it
            stream.reconfigure(errors=HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    r"""The handler, as `codecs.register_error` wants it; strange letters of a name become ``\u20ac`` and the like."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, ascii(letter)[1:-1]) for letter in letters), error.end
