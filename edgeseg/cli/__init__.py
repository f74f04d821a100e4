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
from edgeseg.cli.terminal import fit_streams
from edgeseg.errors import EdgesegError, MissingComponentError, UsageError

INTERRUPTED = 130
TERMINATED = 143
"""128 + the signal's number, as shells have it."""


class Terminated(BaseException):
    """SIGTERM, turned into an exception so that what is half written is taken away."""


def main() -> NoReturn:
    """Run the command line and leave with the exit code that docs/architecture.md lists."""
    fit_streams()
    signal.signal(signal.SIGTERM, _terminate)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.exit(run([argument for argument in arguments if argument != "--debug"], debug))


def run(arguments: list[str], debug: bool = False) -> int:
    """Run one command.

    Args:
        arguments: The words after `edgeseg`, without `--debug`.
        debug: Show tracebacks.

    Returns:
        The exit code.
    """
    command = typer.main.get_command(commands.app)
    as_json = "--json" in arguments
    try:
        result = command.main(arguments, prog_name="edgeseg", standalone_mode=False)
    except (EdgesegError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        ours = error if isinstance(error, EdgesegError) else _lacks_memory(error)
        say(f"error: {ours}")
        return _documented(ours, as_json)
    except Terminated:
        say("terminated")
        return TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        return INTERRUPTED
    except Exception as error:
        return _usage_or_defect(error, debug, as_json)
    if result == INTERRUPTED:  # where typer has taken the KeyboardInterrupt itself
        say("stopped")
    return result if isinstance(result, int) else 0


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _usage_or_defect(error: Exception, debug: bool, as_json: bool) -> int:
    show, words = getattr(error, "show", None), getattr(error, "format_message", None)
    if show is not None and words is not None:  # click's usage errors, whichever click typer brings
        show()
        return _documented(UsageError(words()), as_json)
    if debug:
        traceback.print_exc()
    what = f"a defect of edgeseg: {type(error).__name__}: {error}"
    defect = EdgesegError(what, next_command="run it again with --debug and report it")
    say(str(defect))
    return _documented(defect, as_json)


def _lacks_memory(error: MemoryError) -> MissingComponentError:
    return MissingComponentError("this machine has not the memory for it", found=str(error) or None)


def _documented(error: EdgesegError, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.to_dict(), indent=2))
    return error.exit_code
