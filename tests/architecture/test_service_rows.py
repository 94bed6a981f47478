"""The table of what was seen of the Go originals names tests that exist."""

from __future__ import annotations

import ast
import re

from tests.architecture.repository import ROOT

_FOLDER = ROOT / "tests" / "services"


def _rows() -> list[str]:
    text = (_FOLDER / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (?:dq|kq|group|load|wheel): .+ \| `(\S+)` \|$", text, re.MULTILINE)


def _tests() -> set[str]:
    """Return the tests of the folder by file and name, read and not imported."""
    found: set[str] = set()
    for file in _FOLDER.glob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found |= {
            f"{file.name}::{node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
    return found


def test_every_row_names_a_test() -> None:
    """A plain run leaves these tests out, so a row would go stale unseen."""
    assert len(_rows()) > 40
    assert set(_rows()) - _tests() == set()
