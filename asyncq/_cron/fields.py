"""The fields of a cron expression: croniter reads them, and what is wrong with them is said here.

croniter says little of what it refuses, and reads some things otherwise than they look: `5-5` as
the whole field, a step of 90 minutes as one of 60, `50-10/7` with a slip at the turn of the hour.
So what it gets is checked before, field by field, and `5-5` is written as `5`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from croniter import croniter
from croniter.croniter import CroniterError

from asyncq._checks import near_misses

_LAST: Final = "l"
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
# Jenkins' H, croniter's random R, and the W of Quartz.
_OF_OTHERS: Final = re.compile(r"([0-9]+|l)?w[0-9]*|[rh](\(.*\))?(/.*)?")
_SECONDS_FIRST: Final = 6

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class _Field:
    """One field, and what may be in it."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()  #: the first is that of `first`
    unit: str = ""  #: of `@every`, for who wants a longer step than there is

    @property
    def size(self) -> int:
        """How many values there are, of which the Sunday that is 7 is none of its own."""
        return 7 if self.names is _WEEKDAYS else self.last - self.first + 1

    @property
    def wanted(self) -> str:
        """What a value has to be."""
        beside = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"a number from {self.first} to {self.last}{beside}"

    def number(self, text: str) -> int | None:
        """Return the number of a value; None if it is none."""
        if text in self.names:
            return self.names.index(text) + self.first
        if _NUMBER.fullmatch(text) and self.first <= int(text) <= self.last:
            return int(text)
        return None


_SECOND = _Field("second", 0, 59, unit="s")
_MINUTE = _Field("minute", 0, 59, unit="m")
_HOUR = _Field("hour", 0, 23, unit="h")
_MONTH_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 0, 7, _WEEKDAYS)
_SIX: Final = (_SECOND, _MINUTE, _HOUR, _MONTH_DAY, _MONTH, _WEEKDAY)


class Times(NamedTuple):
    """What the fields of an expression allow."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    has_last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int] | None
    nth_weekdays: frozenset[tuple[int, int]]
    is_fixed_time: bool


def read_fields(texts: list[str]) -> Times | list[str]:
    """Return what five fields, or six with the second first, mean, or all that is wrong with them."""
    kinds = _SIX[-len(texts) :]
    if len(texts) not in (_SECONDS_FIRST - 1, _SECONDS_FIRST):
        return [
            f"five fields ({_named(_SIX[1:])}), or six with the second before them; there are {len(texts)}"
        ]
    lowered = [text.lower() for text in texts]
    wrong = [
        f"{why}; field {place}, the {kind.name}, says {text!r}"
        for place, (kind, text) in enumerate(zip(kinds, lowered, strict=True), 1)
        if (why := _wrong_field(kind, text))
    ]
    if wrong:
        return wrong
    plain = [_plain(kind, text) for kind, text in zip(kinds, lowered, strict=True)]
    try:
        expanded, nth = croniter.expand(" ".join(plain), second_at_beginning=True)
    # Its own errors are ValueErrors; others slip through for some malformed fields.
    except (CroniterError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        return [f"fields that croniter can read, which says: {error}"]
    return _times(lowered, cast("list[list[Any]]", expanded), cast("dict[int, set[Any]]", nth))


def _times(texts: list[str], expanded: list[list[Any]], nth: dict[int, set[Any]]) -> Times:
    minutes, hours, days, months, weekdays, *seconds = expanded
    clock = texts[:-3]
    return Times(
        seconds=_numbers(seconds[0], range(60)) if seconds else (0,),
        minutes=_numbers(minutes, range(60)),
        hours=_numbers(hours, range(24)),
        days=_limited([day for day in days if day != _LAST]),
        has_last_day=_LAST in days and "*" not in days,
        months=frozenset(_numbers(months, range(1, 13))),
        weekdays=None if nth else _limited(weekdays),
        nth_weekdays=frozenset(
            (weekday, 0 if which == _LAST else int(which))
            for weekday, all_of_it in nth.items()
            for which in all_of_it
        ),
        is_fixed_time=not any(text.startswith("*") for text in clock),
    )


def _numbers(expanded: list[Any], everything: range) -> tuple[int, ...]:
    return tuple(everything) if "*" in expanded else tuple(sorted(expanded))


def _limited(expanded: list[Any]) -> frozenset[int] | None:
    """Return the days of a field; None if there is no limit."""
    return None if "*" in expanded or not expanded else frozenset(expanded)


def _wrong_field(kind: _Field, text: str) -> str:
    """Say what would have been right instead of a field; nothing if it is."""
    if text == "?" and kind in (_MONTH_DAY, _WEEKDAY):
        return ""
    elements = text.split(",")
    for element in elements:
        if why := _wrong_element(kind, element):
            return why
    counted = [_is_counted(kind, element) for element in elements]
    if any(counted) and not all(counted):
        return "weekdays of every week, or ones such as fri#2 and L5 that come once a month, and not both"
    return ""


def _is_counted(kind: _Field, element: str) -> bool:
    return kind is _WEEKDAY and ("#" in element or element.startswith(_LAST))


def _wrong_element(kind: _Field, element: str) -> str:
    if not element:
        return "something before and after each comma"
    if _OF_OTHERS.fullmatch(element):
        return "no R, H or W, which asyncq does not have"
    if _is_counted(kind, element):
        return _wrong_count(kind, element)
    base, slash, step = element.partition("/")
    return (_wrong_step(kind, base, step) if slash else "") or _wrong_range(kind, base, has_step=bool(slash))


def _wrong_range(kind: _Field, base: str, *, has_step: bool) -> str:
    if base == "*" or (kind is _MONTH_DAY and base == _LAST and not has_step):
        return ""
    first, dash, last = base.partition("-")
    to_last_day = kind is _MONTH_DAY and bool(dash) and last == _LAST
    for value in (first, last) if dash and not to_last_day else (first,):
        if kind.number(value) is None:
            return _wrong_value(kind, value)
    if has_step and dash and not to_last_day and _turns(kind, first, last):
        return "a range with a step that does not go over the end of the field: write its values"
    return ""


def _wrong_count(kind: _Field, element: str) -> str:
    """Say what is wrong with a weekday that is counted in the month."""
    base, sharp, which = element.partition("#")
    if not sharp:
        return (
            ""
            if kind.number(element[1:]) is not None and element[1:].isdigit()
            else "L and a number from 0 to 7, such as L5"
        )
    first, dash, last = base.partition("-")
    for value in (first, last) if dash else (first,):
        if kind.number(value) is None:
            return _wrong_value(kind, value)
    return "" if which in ("1", "2", "3", "4", "5") else "a number from 1 to 5 after the #"


def _wrong_step(kind: _Field, base: str, step: str) -> str:
    if not _NUMBER.fullmatch(step) or not int(step):
        return "a step of 1 or more after the /"
    if int(step) > kind.size:
        hint = f" (@every {step}{kind.unit} has no such limit)" if kind.unit and base == "*" else ""
        return f"a step of at most {kind.size}, as it begins anew each time{hint}"
    return ""


def _wrong_value(kind: _Field, value: str) -> str:
    if kind is _WEEKDAY and re.fullmatch(r"[0-9]l", value):
        return f"L{value[0]} for the last one of the month"
    if value == _LAST:
        return f"{kind.wanted}: L is a day of the month"
    near = near_misses(value, kind.names)[:1]
    return kind.wanted + (f" (did you mean {near[0]!r}?)" if near else "")


def _turns(kind: _Field, first: str, last: str) -> bool:
    low, high = kind.number(first), kind.number(last)
    return low is not None and high is not None and low > high


def _plain(kind: _Field, text: str) -> str:
    """Return a field with ranges of one value as that value: croniter takes them for the whole field."""
    return ",".join(_plain_element(kind, element) for element in text.split(","))


def _plain_element(kind: _Field, element: str) -> str:
    base, _, _ = element.partition("/")
    base, sharp, which = base.partition("#")
    first, dash, last = base.partition("-")
    low, high = kind.number(first), kind.number(last)
    if not dash or low is None or high is None:
        return element
    # Both are Sunday. A range from 0 to 7 is a whole week all the same.
    is_one = low == high or (kind is _WEEKDAY and (low, high) == (7, 0))
    return f"{low}{sharp}{which}" if is_one else element


def _named(kinds: tuple[_Field, ...]) -> str:
    return ", ".join(kind.name for kind in kinds)
