"""Documentation names paths that exist, links that lead somewhere and Python that compiles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, modules, named, pages, scripts

FOLDERS = (".ci", "asyncq", "benchmarks", "docs", "examples", "tests", "tools")

_PATH = re.compile(rf"`((?:{'|'.join(re.escape(folder) for folder in FOLDERS)})/[^`\s]*)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
# A path with one of these is a pattern for the reader's eye, not a file.
_PLACEHOLDER = re.compile(r"[<>{}…]")


def _exists(name: str) -> bool:
    bare = name.partition("::")[0].partition("#")[0].rstrip("/")
    bare = re.sub(r":\d+$", "", bare)
    return any(True for _ in ROOT.glob(bare))


def _named_paths(path: Path) -> Iterator[str]:
    for name in _PATH.findall(path.read_text(encoding="utf-8")):
        if not _PLACEHOLDER.search(name):
            yield name


@pytest.mark.parametrize("page", pages(), ids=named)
def test_paths_named_on_a_page_exist(page: Path) -> None:
    """A guide that describes the files of last year sends its reader astray."""
    assert [name for name in _named_paths(page) if not _exists(name)] == []


def test_paths_named_in_the_source_exist() -> None:
    """Docstrings and comments name pages and tests, too."""
    missing = [
        f"{named(path)}: {name}"
        for path in [*modules(), *scripts()]
        for name in _named_paths(path)
        if not _exists(name)
    ]
    assert not missing


def _anchor(heading: str) -> str:
    """The fragment that a heading gets where the pages are shown."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """Links between pages are relative; each has a file and, if it names one, a heading."""
    broken = []
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            broken.append(link)
        elif fragment and target.suffix == ".md":
            anchors = {_anchor(heading) for heading in _HEADING.findall(_prose(target))}
            if fragment not in anchors:
                broken.append(link)
    assert broken == []


def _dedent(body: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))


def _python_blocks() -> list[tuple[str, str]]:
    return [
        (
            f"{named(page)}:{text.count(chr(10), 0, fence.start()) + 1}",
            _dedent(fence["body"], fence["indent"]),
        )
        for page in pages()
        for text in [page.read_text(encoding="utf-8")]
        for fence in _FENCE.finditer(text)
        if fence["info"].split()[:1] == ["python"]
    ]


@pytest.mark.parametrize(
    ("where", "code"), [pytest.param(where, code, id=where) for where, code in _python_blocks()]
)
def test_python_on_a_page_compiles(where: str, code: str) -> None:
    """A block may await at its top level: the reader is inside a coroutine."""
    compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
