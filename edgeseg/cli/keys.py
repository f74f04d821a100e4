"""`edgeseg keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit
from edgeseg.cli.signing_key import PASSWORD_VARIABLE, given_password, new_password
from edgeseg.shell import quoted

app = typer.Typer(help="Make the keys by which engines and verdicts are signed.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Make the keys by which engines and verdicts are signed."""


@app.command("new")
def new(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for NAME.key and NAME.pub.")],
    name: Annotated[str, typer.Option(help="Stem of the two files.")] = "signing",
    password: Annotated[
        bool,
        typer.Option(
            "--password", help=f"Encrypt the private key. {PASSWORD_VARIABLE} has the password, or it is asked for."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make an Ed25519 key pair; files that exist are never replaced."""
    from edgeseg.signing.key_files import make_keys

    secret = new_password() if password else given_password()
    made = make_keys(out, name, secret)
    document = {
        "private_key": str(made.private),
        "public_key": str(made.public),
        "key_id": made.key_id,
        "encrypted": secret is not None,
    }
    kept = "encrypted" if secret is not None else "not encrypted"
    lines = [
        f"private key: {made.private} ({kept}; only you can read it: whoever has it signs in your name)",
        f"public key:  {made.public} (for every box and every auditor)",
        f"key id:      {made.key_id}",
        f"next: edgeseg sign NAME.engine.json --key {quoted(made.private)}",
    ]
    emit(document, as_json, "\n".join(lines))
