"""Flags that take one value: of two, the last counts, and that is said."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from edgeseg.cli.output import say


class OnceCommand(TyperCommand):
    """A command that does not pass over a flag's second value in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, once to count."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(given).items():
            if times > 1 and isinstance(parameter, TyperOption) and not (parameter.multiple or parameter.is_flag):
                say(f"{parameter.opts[0]} takes one value and was given {times} times: the last one counts")
        return super().parse_args(ctx, args)


def demand_once(app: typer.Typer) -> None:
    """Make every command of an app, and of the apps in it, an `OnceCommand` where it is a plain one."""
    for command in app.registered_commands:
        command.cls = OnceCommand if command.cls is TyperCommand else command.cls
    for group in app.registered_groups:
        if group.typer_instance is not None:
            demand_once(group.typer_instance)
