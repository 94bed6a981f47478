"""Lua scripts as objects: the text, its hash, and the calling convention.

A script is a file. Its header says what it does, which keys and arguments it takes and what it
answers; a test reads the headers. Where scripts share a function, the header says

    -- INCLUDE wake

and the text of `_wake.lua` is put in front. What is done differently in each wire has a file of that
name in the folder of each *dialect* instead, and a script a text for each.

Convention: `ARGV[1]` of every script that writes is `1` when the same call was sent before and
its answer was lost, else empty. Scripts look for what the first sending did only in that case.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_INCLUDE: Final = re.compile(r"^-- INCLUDE (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """One Lua script in one dialect, ready to be called by hash."""

    source: str
    sha: str

    @classmethod
    def of(cls, source: str) -> Text:
        """What Redis calls a text by is its hash."""
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script, in every dialect."""

    name: str
    texts: Mapping[str, Text]


def load(package: str, name: str, dialects: Sequence[str]) -> Script:
    """Read `name`.lua and what it includes from the package's `lua` folder."""
    folder = files(package) / "lua"
    return Script(name, {dialect: _text(folder, name, dialect) for dialect in dialects})


def _text(folder: Traversable, name: str, dialect: str) -> Text:
    parts: dict[str, str] = {}

    def include(text: str) -> None:
        for piece in _INCLUDE.findall(text):
            if piece not in parts:
                file = folder / f"_{piece}.lua"
                if not file.is_file():
                    file = folder / dialect / f"_{piece}.lua"
                found = file.read_text("utf-8")
                include(found)
                parts[piece] = found

    text = (folder / f"{name}.lua").read_text("utf-8")
    include(text)
    return Text.of("\n".join([*parts.values(), text]))
