"""What the errors are made of. Users find everything in `errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

# Enough of a value to recognise it; a payload given by mistake does not flood the log.
_SHOWN_CHARACTERS = 80


class AsyncqError(Exception):
    """Everything the library raises on its own account."""

    _text: ClassVar[str] = ""
    """The text of the error, its attributes in braces. Empty: what Python makes of the arguments."""

    def __str__(self) -> str:
        if not self._text:
            return super().__str__()
        advice = getattr(self, "advice", "")
        return self._text.format_map(vars(self)) + (f" ({advice})" if advice else "")


class Problem(NamedTuple):
    """One thing that is wrong with one value."""

    option: str  #: name of the option or argument
    value: object  #: what was given
    expected: str  #: what would have been right: the end of a sentence that begins "expected"

    def __str__(self) -> str:
        return f"{self.option}={shown(self.value)}: expected {self.expected}"


def shown(value: object) -> str:
    """A value for a message, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


class ConfigError(AsyncqError, ValueError):
    """An option or argument is wrong. Raised before any I/O: fix the call.

    `option`, `value` and `expected` are those of the first problem; `problems` has all of the call.
    """

    def __init__(self, option: str, value: object, expected: str, more: Sequence[Problem] = ()) -> None:
        super().__init__(option, value, expected, tuple(more))
        self.option, self.value, self.expected = option, value, expected
        self.problems: tuple[Problem, ...] = (Problem(option, value, expected), *more)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ConfigError:
        """Make one error of all `problems`, of which there is at least one."""
        return ConfigError(*problems[0], problems[1:])

    def __str__(self) -> str:
        if self._text:
            return super().__str__()
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n- ".join([f"{len(self.problems)} values are wrong:", *map(str, self.problems)])


class NotFoundError(AsyncqError, LookupError):
    """What was asked for is not in Redis, or not there any more. `near` has names like the one given."""

    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f"; did you mean {' or '.join(map(repr, self.near))}?" if self.near else ""
        return super().__str__() + hint


class WrongStateError(AsyncqError):
    """It exists, but it is not in a state that allows this."""
