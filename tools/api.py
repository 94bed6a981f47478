"""Writes docs/reference/api.md: every public class and function, with its first sentence.

Run it after a change of the public interface; a test compares the page with what it would write.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "api.md"

MODULES = (
    "app",
    "client",
    "sync",
    "task",
    "task_info",
    "options",
    "definitions",
    "server",
    "config",
    "group_settings",
    "mux",
    "context",
    "logs",
    "tracing",
    "dash",
    "retry",
    "scheduler",
    "periodic",
    "schedules",
    "entry_info",
    "semaphore",
    "claims",
    "inspector",
    "measures",
    "metrics",
    "connection",
    "shared",
    "codecs",
    "errors",
    "web",
    "dq",
    "dq.metrics",
    "beanstalk",
    "kq",
    "kq.errors",
    "kq.bridge",
    "kq.metrics",
)

HEAD = """# The public interface

Every public class and function, with its first sentence; `help()` says the rest. Everyday names can be
imported from `asyncq` itself. Written by `tools/api.py`, and compared with the code by a test.
"""


def _sentence(thing: object) -> str:
    text = inspect.getdoc(thing) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.?!]) (?=[A-Z`])", paragraph)[0].replace("|", "\\|")


def _arguments(function: object) -> str:
    """The names of the arguments, with defaults that are short."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    shown: list[str] = []
    has_star = False
    for parameter in signature.parameters.values():
        if parameter.name == "self" or parameter.name.startswith("_"):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            shown.append("**" + parameter.name)
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            shown.append("*" + parameter.name)
            has_star = True
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            shown.append("*")
            has_star = True
        shown.append(parameter.name + ("" if parameter.default is parameter.empty else "="))
    return ", ".join(shown)


def _members(kind: type) -> Iterator[tuple[str, str]]:
    """What can be called or read, as it is written, with its sentence; in the order of the source."""
    for base in [kind, *(base for base in kind.__mro__[1:] if base.__module__.startswith("asyncq"))]:
        for name, member in vars(base).items():
            if name.startswith("_") or (base is not kind and name in vars(kind)):
                continue
            if isinstance(member, property):
                yield f"`{name}`", _sentence(member)
            elif isinstance(member, staticmethod | classmethod) or inspect.isfunction(member):
                function = inspect.unwrap(getattr(kind, name))
                word = "await " if inspect.iscoroutinefunction(function) else ""
                call = (
                    _arguments(function)
                    if not isinstance(member, classmethod)
                    else _arguments(getattr(kind, name))
                )
                yield f"`{word}{name}({call})`", _sentence(member)


def _class(module: str, name: str, kind: type) -> Iterator[str]:
    yield f"\n### `{module}.{name}`\n\n{_sentence(kind)}"
    if dataclasses.is_dataclass(kind):
        fields = [f"`{one.name}`" for one in dataclasses.fields(kind) if not one.name.startswith("_")]
        yield f"\nFields: {', '.join(fields)}."
    rows = [] if issubclass(kind, BaseException) else list(_members(kind))
    if rows:
        yield "\n| member | |\n|---|---|"
        yield from (f"| {member} | {sentence} |" for member, sentence in rows)


def _names(module: Any) -> list[str]:
    """What it exports, or else defines."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
    ]


def page() -> str:
    """The page as it should be."""
    lines = [HEAD]
    for short in MODULES:
        module: Any = importlib.import_module(f"asyncq.{short}")
        lines.append(f"## `asyncq.{short}`\n\n{_sentence(module)}")
        for name in _names(module):
            thing = getattr(module, name)
            if inspect.isclass(thing):
                lines += _class(short, name, thing)
            elif inspect.isfunction(thing):
                lines.append(f"\n### `{short}.{name}({_arguments(thing)})`\n\n{_sentence(thing)}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
