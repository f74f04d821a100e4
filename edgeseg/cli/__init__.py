"""The command line. One file a command: the command says, a plain function of a stage does."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import NoReturn

import typer

from edgeseg.cli import commands
from edgeseg.cli.output import say
from edgeseg.errors import EdgesegError, MissingComponentError

INTERRUPTED = 130
TERMINATED = 143
"""128 + the signal's number, as shells have it."""


class Terminated(BaseException):
    """SIGTERM, turned into an exception so that what is half written is taken away."""


def main() -> NoReturn:
    """Run the command line and leave with the exit code of docs/design.md."""
    signal.signal(signal.SIGTERM, _terminate)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.exit(run([argument for argument in arguments if argument != "--debug"], debug))


def run(arguments: list[str], debug: bool = False) -> int:
    """Run one command.

    Args:
        arguments: As after `edgeseg`, without `--debug`.
        debug: Show tracebacks.

    Returns:
        The exit code.
    """
    command = typer.main.get_command(commands.app)
    try:
        result = command.main(arguments, prog_name="edgeseg", standalone_mode=False)
    except EdgesegError as error:
        if debug:
            traceback.print_exc()
        _report(error, as_json="--json" in arguments)
        return error.exit_code
    except Terminated:
        say("terminated")
        return TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        return INTERRUPTED
    except MemoryError as error:
        if debug:
            traceback.print_exc()
        lacking = MissingComponentError("this machine has not the memory for it", found=error or None)
        _report(lacking, as_json="--json" in arguments)
        return lacking.exit_code
    except Exception as error:
        return _usage_or_defect(error, debug)
    if result == INTERRUPTED:  # where typer has taken the KeyboardInterrupt itself
        say("stopped")
    return result if isinstance(result, int) else 0


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _usage_or_defect(error: Exception, debug: bool) -> int:
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if show is not None and code is not None:  # click's usage errors, whichever click typer brings
        show()
        return int(code)
    if debug:
        traceback.print_exc()
    say(f"a defect of edgeseg: {type(error).__name__}: {error}\n  next:     run it again with --debug and report it")
    return 1


def _report(error: EdgesegError, as_json: bool) -> None:
    say(f"error: {error}")
    if as_json:
        print(json.dumps(error.to_dict(), indent=2))
