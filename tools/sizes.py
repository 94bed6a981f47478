"""Size ratchet: 400 lines a file, 60 a function.

What is larger is listed in `tools/sizes.toml`, frozen at its present size. The list
may only get shorter and its numbers smaller: a file that grew fails, and so does one
that shrank until the list says so (`--update` lowers and removes, it never adds).

A file's size is its lines. A function's is its lines less its docstring, because a
long docstring is no reason to split a function.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE_LIMIT = 400
FUNCTION_LIMIT = 60
SUFFIXES = frozenset({".py", ".lua"})
FOLDERS = ("asyncq", "tests", "tools", "benchmarks", "examples")
LIST_NAME = "tools/sizes.toml"

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(kw_only=True)
class Sizes:
    """Sizes by name: `path` for files, `path::qualified.name` for functions."""

    files: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, _FunctionNode]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, f"{name}.")
        else:
            yield from _functions(child, prefix)


def _length(function: _FunctionNode) -> int:
    end = function.end_lineno or function.lineno
    length = end - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and len(function.body) > 1:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


def measure(root: Path) -> Sizes:
    """Measure every Python and Lua file of the repository, and every function."""
    sizes = Sizes()
    paths = [root / "conftest.py"]
    for folder in FOLDERS:
        paths += (root / folder).rglob("*")
    for path in sorted(paths):
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        sizes.files[name] = len(text.splitlines())
        if path.suffix == ".py":
            # Overloads and branches repeat a name; the longest counts.
            for function, node in _functions(ast.parse(text, name), ""):
                key = f"{name}::{function}"
                sizes.functions[key] = max(_length(node), sizes.functions.get(key, 0))
    return sizes


def read_list(path: Path) -> Sizes:
    """Read the frozen exceptions; a missing file is an empty list."""
    if not path.exists():
        return Sizes()
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Sizes(files=table.get("files", {}), functions=table.get("functions", {}))


def _judge(actual: Mapping[str, int], frozen: Mapping[str, int], limit: int) -> Iterator[str]:
    for name, size in actual.items():
        allowed = frozen.get(name)
        if allowed is None and size > limit:
            yield f"{name}: {size} lines; the limit is {limit}. Split it by responsibility."
        elif allowed is not None and size > allowed:
            yield f"{name}: grew from {allowed} to {size} lines; exceptions may only shrink."
        elif allowed is not None and size < allowed:
            yield f"{name}: shrank from {allowed} to {size} lines; run tools/sizes.py --update."
        elif allowed is not None and allowed <= limit:
            yield f"{name}: {allowed} lines need no exception; run tools/sizes.py --update."
    for name in frozen.keys() - actual.keys():
        yield f"{name}: listed in {LIST_NAME}, but gone; run tools/sizes.py --update."


def problems(actual: Sizes, frozen: Sizes) -> list[str]:
    """Compare what is with what was frozen; each answer names the way out."""
    return [
        *_judge(actual.files, frozen.files, FILE_LIMIT),
        *_judge(actual.functions, frozen.functions, FUNCTION_LIMIT),
    ]


def shrink(actual: Sizes, frozen: Sizes) -> Sizes:
    """Lower the frozen sizes to what is, and drop those that fit; never add or raise."""

    def lowered(now: Mapping[str, int], then: Mapping[str, int], limit: int) -> dict[str, int]:
        sizes = {name: min(size, now.get(name, 0)) for name, size in then.items()}
        return {name: size for name, size in sizes.items() if size > limit}

    return Sizes(
        files=lowered(actual.files, frozen.files, FILE_LIMIT),
        functions=lowered(actual.functions, frozen.functions, FUNCTION_LIMIT),
    )


def _render(sizes: Sizes) -> str:
    lines = [
        "# Files over 400 lines and functions over 60, frozen at their present size.",
        "# This list may only get shorter and its numbers smaller (tools/sizes.py --update).",
    ]
    for title, table in (("files", sizes.files), ("functions", sizes.functions)):
        lines += ["", f"[{title}]", *(f'"{name}" = {size}' for name, size in sorted(table.items()))]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print what is too large, and answer 1 if anything is."""
    parser = argparse.ArgumentParser(description="Check the sizes of files and functions.")
    parser.add_argument("--update", action="store_true", help="lower the frozen sizes to what is")
    update: bool = parser.parse_args().update
    root = Path(__file__).resolve().parent.parent
    frozen = read_list(root / LIST_NAME)
    try:
        actual = measure(root)
    except SyntaxError as error:
        print(f"{error.filename}:{error.lineno}: does not parse: {error.msg}")
        return 1
    if update:
        frozen = shrink(actual, frozen)
        (root / LIST_NAME).write_text(_render(frozen), encoding="utf-8")
    found = problems(actual, frozen)
    for problem in found:
        print(problem)
    if not found:
        exceptions = len(frozen.files) + len(frozen.functions)
        print(f"{len(actual.files)} files and {len(actual.functions)} functions, {exceptions} exceptions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
