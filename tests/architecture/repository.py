"""What the tests of this folder read: the repository's own files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "asyncq"
SCRIPTS = PACKAGE / "_broker" / "lua"

_Node = TypeVar("_Node", bound=ast.AST)


def named(path: Path) -> str:
    """The path as the repository names it, with slashes."""
    return path.relative_to(ROOT).as_posix()


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def scripts() -> list[Path]:
    """Every Lua script of the package."""
    return sorted(SCRIPTS.glob("*.lua"))


def dialects() -> dict[str, dict[str, Path]]:
    """The pieces of each dialect, by their names."""
    folders = sorted(path for path in SCRIPTS.iterdir() if path.is_dir())
    return {
        folder.name: {path.stem.removeprefix("_"): path for path in sorted(folder.glob("_*.lua"))}
        for folder in folders
    }


def pages() -> list[Path]:
    """Every page of documentation, the ones in the root included."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@cache
def tree(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), named(path))


def dotted(path: Path) -> str:
    """The module's name as an import spells it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def nodes(kind: type[_Node]) -> Iterator[tuple[Path, _Node]]:
    """Every node of one kind in the package, with the file that holds it."""
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, kind):
                yield path, node
