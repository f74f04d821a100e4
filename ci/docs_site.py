"""Gives mkdocs what it does not find in docs/: documents of the root, a page a command, and the Python interface.

mkdocs calls the functions that begin with ``on_`` (mkdocs.yml, ``hooks``).
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import edgeseg
from edgeseg.cli import commands
from edgeseg.cli.registry_options import RegistryCommand

ROOT = Path(__file__).resolve().parents[1]
OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "SECURITY.md": "SECURITY.md"}
"""Documents outside docs/ -> their pages."""
INTERFACE = "reference/interface.md"
COMMANDS = "reference/commands"
PLACE_OF_COMMANDS = "COMMANDS"
"""The word in mkdocs.yml's navigation for which the commands' pages stand in."""
_LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    """Put the commands' pages into the navigation."""
    pages = [f"{COMMANDS}/{name}.md" for name in _groups()]
    for section in config.nav or []:
        for entries in section.values() if isinstance(section, dict) else ():
            for index, entry in enumerate(entries):
                if isinstance(entry, dict) and PLACE_OF_COMMANDS in entry.values():
                    entries[index] = {next(iter(entry)): pages}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files in docs/."""
    made = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in OF_THE_ROOT.items()}
    made |= {f"{COMMANDS}/{name}.md": "\n".join(_command_page(name, command)) for name, command in _groups().items()}
    made[INTERFACE] = _interface_page()
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages; what the site does not have becomes a name without a link."""
    of_root = {page: name for name, page in OF_THE_ROOT.items()}
    own = of_root.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def led(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(own), match[1]))
        there = OF_THE_ROOT.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(there) is None:
            return f"] (`{target}`)"
        return f"]({posixpath.relpath(there, posixpath.dirname(page.file.src_uri) or '.')}{match[2] or ''})"

    return re.sub(r"\[([^\]]*)\] \(`", r"\1 (`", _LINK.sub(led, markdown))


def _groups() -> dict[str, Any]:
    """Name -> command or group of commands, in the order of `edgeseg --help`."""
    return dict(typer.main.get_command(commands.app).commands)  # type: ignore[attr-defined]


def _command_page(name: str, command: Any) -> Iterator[str]:
    yield f"# edgeseg {name}\n"
    parts = getattr(command, "commands", None)
    if parts is None:
        yield from _described(f"edgeseg {name}", command)
        return
    yield f"{command.help or ''}\n"
    for part, inner in parts.items():
        yield f"## edgeseg {name} {part}\n"
        yield from _described(f"edgeseg {name} {part}", inner)


def _described(typed: str, command: Any) -> Iterator[str]:
    """The help of one command, as `--help` gives it."""
    if isinstance(command, RegistryCommand):
        command.name_choices()
    context = command.make_context(typed, [], resilient_parsing=True)
    yield f"{command.help}\n"
    yield f"    {' '.join([typed, *command.collect_usage_pieces(context)])}\n"
    rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    yield "| argument or option | meaning |\n| --- | --- |"
    for names, meaning in rows:
        yield f"| <code>{_cell(names)}</code> | {_cell(meaning)} |"
    yield ""


def _cell(text: str) -> str:
    """A text inside a cell of a table; what stands in brackets, such as a default, is no link."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "&#124;<wbr>").replace("[", "&#91;")


def _interface_page() -> str:
    """Every public name of `edgeseg`, by its docstring."""
    names = [name for name in edgeseg.__all__ if name != "__version__"]
    directives = "\n\n".join(f"::: edgeseg.{name}" for name in names)
    return f"# The functions of edgeseg\n\n[Examples](../python.md) are on a page of their own.\n\n{directives}\n"
