"""Lua scripts as objects: the text, its hash, and the calling convention.

A script is a file. Its header says what it does, which keys and arguments it takes and what it
answers; a test reads the headers. Where scripts share a function, the header says

    -- INCLUDE wake

and the text of `_wake.lua` is put in front. That is all the preprocessing there is.

Convention: `ARGV[1]` of every script that writes is `1` when the same call was sent before and
its answer was lost, else empty. Scripts look for what the first sending did only in that case.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_INCLUDE: Final = re.compile(r"^-- INCLUDE (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script, ready to be called by hash."""

    name: str
    source: str
    sha: str


def load(package: str, name: str) -> Script:
    """Read `name`.lua and what it includes from the package's `lua` folder."""
    folder = files(package) / "lua"
    text = (folder / f"{name}.lua").read_text("utf-8")
    parts = [(folder / f"_{included}.lua").read_text("utf-8") for included in _INCLUDE.findall(text)]
    source = "\n".join([*parts, text])
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
