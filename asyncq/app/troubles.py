"""What is wrong with settings, all of it, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from asyncq.errors import ConfigError, Problem


class Hidden:
    """Stands for a value that must not be shown."""

    def __repr__(self) -> str:
        return "…"


HIDDEN: Final = Hidden()


class Trouble(NamedTuple):
    """One thing that is wrong with settings."""

    key: str  #: the path of the key, as in `DqConf.Beanstalks[1].Endpoint`
    expected: str
    line: int | None = None
    value: object = None  #: what was given; something that says nothing for a secret
    kind: Literal["wrong", "missing", "unknown", "unreadable"] = "wrong"
    variable: str = ""  #: of the environment, when it came from there

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        if self.variable:
            return (
                f"the variable {self.variable}={_shown(self.value)}, for {self.key}: expected {self.expected}"
            )
        if self.kind == "missing":
            return f"{where}{self.key} is missing: expected {self.expected}"
        if self.kind == "unknown":
            return f"{where}{self.key} is no setting{self.expected}"
        if self.kind == "unreadable":
            return f"{where}expected {self.expected}"
        return f"{where}{self.key}={_shown(self.value)}: expected {self.expected}"


_SHOWN: Final = 80


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


class SettingsError(ConfigError):
    """Settings are wrong: fix the file, or the environment.

    `file` is the file, and `troubles` has everything that is wrong with it, by line.
    """

    def __init__(self, file: str, troubles: Sequence[Trouble]) -> None:
        known = sorted(troubles, key=lambda one: (one.line is None, one.line or 0))
        first, *more = [Problem(one.key, one.value, one.expected) for one in known]
        super().__init__(*first, more)
        self.args = (file, tuple(known))
        self.file: Final = file
        self.troubles: Final = tuple(known)

    def __str__(self) -> str:
        if len(self.troubles) == 1:
            return f"{self.file}: {self.troubles[0]}"
        head = f"{self.file}: {len(self.troubles)} settings are wrong:"
        return "\n- ".join([head, *map(str, self.troubles)])
