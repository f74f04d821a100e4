"""The command line. One file a command: the command says, a plain function of a stage does."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

import typer

from edgeseg.cli import commands
from edgeseg.cli.closed_pipe import CLOSED_PIPE, flush_output, is_of_output
from edgeseg.cli.output import say
from edgeseg.cli.terminal import fit_streams
from edgeseg.errors import EdgesegError, MissingComponentError, UsageError
from edgeseg.runtime.live.credentials import without_credentials, without_secrets_of

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
    code = flush_output(run([argument for argument in arguments if argument != "--debug"], debug))
    if code in (INTERRUPTED, TERMINATED):
        _end_in_the_middle(code)
    sys.exit(code)


def run(arguments: list[str], debug: bool = False) -> int:
    """Run one command.

    Args:
        arguments: The words after `edgeseg`, without `--debug`.
        debug: Show tracebacks.

    Returns:
        The exit code.
    """
    command = typer.main.get_command(commands.app)
    try:
        result = command.main(arguments, prog_name="edgeseg", standalone_mode=False)
    except (EdgesegError, MemoryError) as error:
        if debug:
            _print_traceback(arguments)
        ours = error if isinstance(error, EdgesegError) else _lacks_memory(error)
        say(without_secrets_of(f"error: {ours}", arguments))
        return _documented(ours, arguments)
    except Terminated:
        say("terminated")
        return TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        return INTERRUPTED
    except SystemExit as left:  # click's and rich's answer to a broken pipe, whosever it was
        if is_of_output(left):
            return CLOSED_PIPE
        if not isinstance(left.__context__, OSError):
            raise
        return _usage_or_defect(left.__context__, debug, arguments)
    except Exception as error:
        return _usage_or_defect(error, debug, arguments)
    if result == INTERRUPTED:  # where typer has taken the KeyboardInterrupt itself
        say("stopped")
    return result if isinstance(result, int) else 0


def _end_in_the_middle(code: int) -> NoReturn:
    """End as the interpreter does, up to the libraries' own destructors: over threads still at work they abort."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(flush_output(code))


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _usage_or_defect(error: Exception, debug: bool, arguments: list[str]) -> int:
    show, words = getattr(error, "show", None), getattr(error, "format_message", None)
    if show is not None and words is not None:  # click's usage errors, whichever click typer brings
        _show_usage(error, arguments)
        return _documented(UsageError(words()), arguments)
    if debug:
        _print_traceback(arguments)
    what = f"a defect of edgeseg: {type(error).__name__}: {error}"
    defect = EdgesegError(what, next_command="run it again with --debug and report it")
    say(without_secrets_of(str(defect), arguments))
    return _documented(defect, arguments)


def _show_usage(error: Any, arguments: list[str]) -> None:
    """Let click say it, without what the addresses among the arguments must not show."""
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        error.show()
    print(without_secrets_of(shown.getvalue(), arguments), end="", file=sys.stderr)


def _print_traceback(arguments: list[str]) -> None:
    print(without_secrets_of(without_credentials(traceback.format_exc()), arguments), file=sys.stderr)


def _lacks_memory(error: MemoryError) -> MissingComponentError:
    return MissingComponentError("not enough memory on this machine", found=str(error) or None)


def _documented(error: EdgesegError, arguments: list[str]) -> int:
    if "--json" in arguments:
        print(without_secrets_of(json.dumps(error.to_dict(), indent=2), arguments))
    return error.exit_code
