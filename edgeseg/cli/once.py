"""Flags that take one value are given once: of two, the first would go unnoticed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from edgeseg.errors import UsageError


class OnceCommand(TyperCommand):
    """A command that refuses a flag's second value where it has room for one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, once to count.

        Raises:
            UsageError: A flag that takes one value has several.
        """
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(given).items():
            if times > 1 and isinstance(parameter, TyperOption) and not (parameter.multiple or parameter.is_flag):
                raise UsageError(
                    f"{parameter.opts[0]} was given {times} times, and takes one value",
                    expected=f"{parameter.opts[0]} once",
                )
        return super().parse_args(ctx, args)


def demand_once(app: typer.Typer) -> None:
    """Make every command of an app, and of the apps in it, an `OnceCommand` where it is a plain one."""
    for command in app.registered_commands:
        command.cls = OnceCommand if command.cls is TyperCommand else command.cls
    for group in app.registered_groups:
        if group.typer_instance is not None:
            demand_once(group.typer_instance)
