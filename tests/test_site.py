"""The documentation as a site: builds strictly, has every page in its navigation, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md"))
OTHER_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
LOADED_BY = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Attributes whose address a browser asks for by itself."""


class Page(HTMLParser):
    """What a page loads, what it links to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.styles: list[str] = []
        self._in_style = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        self.styles.append(named.get("style", ""))
        self._in_style = tag == "style"
        if address := named.get(LOADED_BY.get(tag, "")):
            self.loads.append(address)
        if tag == "a" and "href" in named:
            self.links.append(named["href"])

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    return folder


def addresses_in_styles(text: str) -> list[str]:
    """What `url(...)` and `@import "..."` of a style sheet name."""
    return re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", text)


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_a_page_loads_nothing_from_another_host(site: Path, name: Path) -> None:
    page = Page(site / name)
    assert page.loads
    for address in page.loads:
        assert not OTHER_HOST.match(address), address
        assert (site / name.parent / address).is_file(), address
    styles = "".join(page.styles)
    assert not [address for pair in addresses_in_styles(styles) for address in pair if OTHER_HOST.match(address)]


def test_style_sheets_load_nothing_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        for pair in addresses_in_styles(sheet.read_text(encoding="utf-8")):
            assert not [address for address in pair if OTHER_HOST.match(address)], sheet.name


def test_every_page_is_in_the_navigation(site: Path) -> None:
    linked = {link.partition("#")[0] for link in Page(site / "index.html").links}
    assert {str(name) for name in PAGES} <= linked


def test_links_of_the_readme_into_the_documentation_hold(site: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(docs/([^)#]+)\.md(?:#([^)]+))?\)", readme)
    assert links
    for name, anchor in links:
        page = Page(site / f"{name}.html")
        assert not anchor or anchor in page.anchors, f"{name}.md#{anchor}"
