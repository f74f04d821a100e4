"""The documentation site is built without a warning, whole, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

import edgeseg
from edgeseg.cli import commands

ROOT = Path(__file__).parents[2]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
LOADING_LINKS = {"stylesheet", "preload", "preconnect", "dns-prefetch", "icon", "modulepreload", "manifest"}
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


class Parsed(HTMLParser):
    """The addresses that a page loads, those that it links to, and the places in it that have a name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.places: set[str] = set()
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag in LOADING and LOADING[tag] in values:
            self.loaded.append(values[LOADING[tag]])
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").split()):
            self.loaded.append(values["href"])
        if tag == "a" and "href" in values:
            self.linked.append(values["href"])

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Parsed]:
    return {path: Parsed(path) for path in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Parsed]) -> None:
    assert len(pages) > 50
    for path, page in pages.items():
        assert page.loaded
        for address in page.loaded:
            parts = urlsplit(address)
            assert not parts.scheme and not parts.netloc, f"{path}: {address}"
            if path.name != "404.html":
                assert (path.parent / unquote(parts.path)).is_file(), f"{path}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_links_lead_to_pages_and_to_places_in_them(site: Path, pages: dict[Path, Parsed]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for address in page.linked:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert there.is_file() or (there / "index.html").is_file(), f"{path.relative_to(site)}: {address}"
            if parts.fragment and there in pages and parts.fragment != "__top":
                assert unquote(parts.fragment) in pages[there].places, f"{path.relative_to(site)}: {address}"


def test_every_command_with_every_option_has_its_place(site: Path, pages: dict[Path, Parsed]) -> None:
    for name, command in typer.main.get_command(commands.app).commands.items():
        words = pages[site / "reference" / "commands" / f"{name}.html"].words
        for part in getattr(command, "commands", {"": command}).values():
            for parameter in part.params:
                for option in parameter.opts if parameter.param_type_name == "option" else ():
                    assert option in words, (name, option)
    engines = pages[site / "reference" / "commands" / "build-engine.html"].words
    assert "[auto|onnxruntime|openvino|" in engines


def test_every_function_of_the_interface_is_told_by_its_docstring(site: Path, pages: dict[Path, Parsed]) -> None:
    page = pages[site / "reference" / "interface.html"]
    for name in set(edgeseg.__all__) - {"__version__"}:
        assert f"edgeseg.{name}" in page.places, name
    assert "Open an engine, an .onnx file or a model package" in page.words and "MismatchError" in page.words
