"""What may be said about an entry beside what is to be enqueued when: its rules for bad days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final, Literal, cast, get_args

from asyncq._clock import DURATION, duration_of
from asyncq.errors import ConfigError, Problem
from asyncq.options import TaskOptions

CatchUp = Literal["skip", "latest", "all"]
Overlap = Literal["allow", "skip", "queue_one", "cancel_running"]

_YEAR: Final = 366 * 86400.0


class EntryOptions(TaskOptions, total=False):
    """The options of an entry: those of its task, and how it deals with times that are missed or too many."""

    catch_up: CatchUp
    """What becomes of times that came while no scheduler could enqueue them.

    `"skip"`, the default: nothing, they are noted in the history. `"latest"`: the last of them is made
    up for. `"all"`: each of them is, the oldest first.
    """

    max_age: float | timedelta | None
    """How late a time may be made up for, with `catch_up` `"latest"` or `"all"`. `None`: as long as Redis
    remembers the last time, thirty days or twice the time from one to the next."""

    overlap: Overlap
    """What to do when the last run is not over at the next time.

    `"allow"`, the default: enqueue all the same. `"skip"`: leave this time out. `"queue_one"`: enqueue
    as soon as that run is over, and leave out what comes while one waits. `"cancel_running"`: cancel it.
    """

    jitter: float | timedelta
    """Enqueue up to so much later than the time says, each time of each entry by another amount."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one entry, checked."""

    catch_up: CatchUp = "skip"
    max_age: float | None = None  #: seconds; `None` for no limit
    overlap: Overlap = "allow"
    jitter: float = 0.0  #: seconds

    def plain(self) -> dict[str, Any]:
        """Return those that are not the usual ones, as text and numbers."""
        values = {name: getattr(self, name) for name in RULE_NAMES}
        return {name: value for name, value in values.items() if value != getattr(USUAL, name)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Rules:
        """Return what `plain` was made of. Names that are not known are those of another version."""
        return cls(**{name: value for name, value in plain.items() if name in RULE_NAMES})


USUAL: Final = Rules()
RULE_NAMES: Final = tuple(field.name for field in fields(Rules))


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the task, and the rules of the entry."""
    rules = {name: value for name, value in options.items() if name in RULE_NAMES}
    return {name: value for name, value in options.items() if name not in rules}, rules


def check_rules(given: Mapping[str, object], *, interval: float = 0.0) -> Rules:
    """Check the rules that were given.

    Args:
        given: As `EntryOptions` describes them.
        interval: Seconds between two times, where the schedule is an interval.

    Raises:
        ConfigError: With every problem there is.
    """
    if not given:
        return USUAL
    problems: list[Problem] = []
    catch_up = _choice("catch_up", given, CatchUp, problems)
    overlap = _choice("overlap", given, Overlap, problems)
    jitter = duration_of(given.get("jitter", 0.0))
    if jitter is None or jitter > _YEAR:
        problems.append(Problem("jitter", given["jitter"], f"{DURATION}, at most a year"))
    elif interval and jitter >= interval:
        problems.append(Problem("jitter", given["jitter"], f"less than the interval, {interval:g} s"))
    max_age: float | None = None
    if given.get("max_age") is not None:
        max_age = duration_of(given["max_age"])
        if not max_age:
            problems.append(
                Problem("max_age", given["max_age"], "a positive number of seconds, or a timedelta")
            )
        elif catch_up == "skip":
            expected = 'no limit without catch_up="latest" or "all": nothing is made up for'
            problems.append(Problem("max_age", given["max_age"], expected))
        elif max_age == math.inf:
            max_age = None
    if problems:
        raise ConfigError.of(problems)
    return Rules(cast("CatchUp", catch_up), max_age, cast("Overlap", overlap), jitter or 0.0)


def _choice(name: str, given: Mapping[str, object], kind: object, problems: list[Problem]) -> str:
    choices = cast("tuple[str, ...]", get_args(kind))
    value = given.get(name, choices[0])
    if not isinstance(value, str) or value not in choices:
        *most, last = (repr(choice) for choice in choices)
        problems.append(Problem(name, value, f"{', '.join(most)} or {last}"))
        return choices[-1]
    return str(value)
