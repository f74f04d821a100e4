"""The keys of a command that signs or checks: their files, and the password of a private one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeseg.cli.output import say
from edgeseg.errors import UsageError
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from edgeseg.signing.key_files import PublicKey

PASSWORD_VARIABLE = "EDGESEG_KEY_PASSWORD"


def demanded_key(path: Path | None) -> PublicKey | None:
    """The key of `--require-signature`; None where it was not given."""
    if path is None:
        return None
    from edgeseg.signing.key_files import read_public_key

    return read_public_key(path)


def signer_of(path: Path) -> CryptoSigner:
    """Read a private key; its password, where it has one, comes from `PASSWORD_VARIABLE` or is asked for."""
    from edgeseg.signing.key_files import read_signer, readable_by_others

    signer = read_signer(path, lambda: given_password() or _asked(f"Password of {path}", confirm=False))
    if readable_by_others(path):
        say(f"warning: {path} can be read by other users: chmod 600 {quoted(path)}")
    return signer


def given_password() -> bytes | None:
    """The password in the environment; None where there is none, or an empty one."""
    return os.environ.get(PASSWORD_VARIABLE, "").encode() or None


def new_password() -> bytes:
    """The password for a new key, from the environment or asked for twice."""
    return given_password() or _asked("Password for the new key", confirm=True)


def _asked(words: str, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError(
            "the private key needs a password, and there is nobody to ask",
            found="no terminal",
            expected=f"the password in the environment variable {PASSWORD_VARIABLE}",
        )
    password: str = typer.prompt(words, hide_input=True, confirmation_prompt=confirm, err=True)
    return password.encode()
