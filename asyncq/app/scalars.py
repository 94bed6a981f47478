"""Values that stand alone: what is expected of them, and how they are read."""

from __future__ import annotations

import operator
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Final, Literal, cast

from asyncq._checks import near_misses
from asyncq._clock import parse_duration
from asyncq.app.fields import Setting, bare
from asyncq.app.files import Node
from asyncq.errors import ConfigError


class WrongError(Exception):
    """A value is not what it has to be. It never leaves this package."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected: Final = expected


_DURATION: Final = 'a duration such as "3s", "1h30m" or "300ms"'
_TRUTHS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def _enum(kind: Any) -> type[Enum] | None:
    return kind if isinstance(kind, type) and issubclass(kind, Enum) else None


def described(kind: Any) -> str:
    """What is expected, as the end of a sentence."""
    if typing.get_origin(kind) is Literal:
        return choice(typing.get_args(kind))
    if (enum := _enum(kind)) is not None:
        return choice([one.value for one in enum])
    return _NAMES.get(kind, "a path" if kind in _PATHS else str(kind))


_PATHS: Final = (Path, PurePath)
_NAMES: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    timedelta: _DURATION,
}


def choice(values: Iterable[object], given: object = None) -> str:
    """That one of some values is expected, and which was meant."""
    known = list(values)
    near = near_misses(given, [str(one) for one in known])[:1] if isinstance(given, str) else ()
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ("one of " if len(known) > 1 else "") + ", ".join(repr(one) for one in known) + hint


def is_scalar(kind: Any) -> bool:
    """Whether there is a way to read it from a file."""
    is_choice = typing.get_origin(kind) is Literal or _enum(kind) is not None
    return is_choice or kind in _PATHS or kind in _SCALARS or kind in (Any, object)


def scalar(kind: Any, node: Node, *, is_text: bool) -> Any:
    """A value that is neither a list nor a section.

    Raises:
        WrongError: It is none of this type.
        ConfigError: There is no way to read the type from a file.
    """
    value = node.value
    if kind in (Any, object):
        return node.plain()
    if typing.get_origin(kind) is Literal:
        return _literal(typing.get_args(kind), value, is_text=is_text)
    if (enum := _enum(kind)) is not None:
        return _member(enum, value, is_text=is_text)
    if kind in _PATHS:
        if isinstance(value, str) and value:
            return cast("type[PurePath]", kind)(value)
        raise WrongError("a path")
    read = _SCALARS.get(kind)
    if read is None:
        known = "text, numbers, bool, timedelta, Path, Enum, Literal, lists, mappings and dataclasses"
        raise ConfigError("type", kind, f"a type that a file can say: {known}")
    return read(value, is_text)


def _text(value: object, is_text: bool) -> str:  # noqa: FBT001 - one of a table
    del is_text
    if isinstance(value, str):
        return value
    plain = not isinstance(value, (dict, list)) and value is not None
    raise WrongError("text; put it in quotes" if plain else "text")


def _whole(value: object, is_text: bool) -> int:  # noqa: FBT001 - as above
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if is_text and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    raise WrongError("a whole number" + ("; without quotes" if not is_text and _is_digits(value) else ""))


def _number(value: object, is_text: bool) -> float:  # noqa: FBT001 - as above
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if is_text and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise WrongError("a number" + ("; without quotes" if not is_text and _is_digits(value) else ""))


def _is_digits(value: object) -> bool:
    return isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdecimal()


def _truth(value: object, is_text: bool) -> bool:  # noqa: FBT001 - as above
    if isinstance(value, bool):
        return value
    if is_text and isinstance(value, str) and value.strip().lower() in _TRUTHS:
        return _TRUTHS[value.strip().lower()]
    raise WrongError("true or false")


def _duration(value: object, is_text: bool) -> timedelta:  # noqa: FBT001 - as above
    del is_text
    if isinstance(value, str):
        try:
            return timedelta(seconds=parse_duration(value))
        except (ConfigError, OverflowError):
            pass
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    raise WrongError(_DURATION + ("; a bare number has no unit" if is_number else ""))


_SCALARS: Final[Mapping[Any, Callable[[object, bool], Any]]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    timedelta: _duration,
}


def _literal(options: Sequence[Any], value: object, *, is_text: bool) -> Any:
    for one in options:
        if (type(one) is type(value) and one == value) or (is_text and str(one) == value):
            return one
    raise WrongError(choice(options, value))


def _member(kind: type[Enum], value: object, *, is_text: bool) -> Enum:
    for one in kind:
        same = type(one.value) is type(value) and one.value == value
        if same or (is_text and str(one.value) == value):
            return one
    for one in kind:
        if isinstance(value, str) and bare(one.name) == bare(value):
            return one
    raise WrongError(choice([one.value for one in kind], value))


def wrong_limit(value: object, setting: Setting) -> str | None:
    """What is wrong with a value that has the right type, if anything."""
    if setting.options and value not in setting.options:
        return choice(setting.options, value)
    if not isinstance(value, (int, float, timedelta)) or isinstance(value, bool):
        return None
    said: list[str] = []
    is_fine = True
    for name, (words, holds) in _LIMITS.items():
        limit = getattr(setting, name)
        if limit is not None:
            said.append(f"{words} {limit}")
            is_fine = is_fine and holds(_seconds(value), _seconds(limit))
    return None if is_fine else " and ".join(said)


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


_LIMITS: Final[Mapping[str, tuple[str, Callable[[float, float], bool]]]] = {
    "least": ("at least", operator.ge),
    "above": ("more than", operator.gt),
    "most": ("at most", operator.le),
    "below": ("less than", operator.lt),
}
