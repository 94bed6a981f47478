"""The options of a task: what may be said about it beside type and payload.

They can be given with the `Task`, with a typed definition, and with `enqueue`; what is
said later wins, headers are merged. All that is wrong with the options of one call is
reported by one `ConfigError`, before anything is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, cast

from asyncq._clock import DURATION, INSTANT, duration_of, from_unix, instant_of
from asyncq.errors import ConfigError, Problem

__all__ = ["CheckedOptions", "TaskOptions", "check_options", "merge_options", "public_options"]

DEFAULT_QUEUE: Final = "default"
DEFAULT_MAX_RETRY: Final = 25
DEFAULT_TIMEOUT: Final = 1800.0

# asynq's wire has an int32 there.
_MOST_RETRIES = 2**31 - 1
# A hundred years. What is longer is a mistake in the unit, and sums with it stay exact.
_LONGEST = 100 * 365.25 * 86400.0
# Redis counts expiry in milliseconds: a lock for less would be refused there.
_SHORTEST_UNIQUE = 0.001


class TaskOptions(TypedDict, total=False):
    """The options of a task, as keyword arguments of `Task`, `@task` and `enqueue`."""

    queue: str
    """Name of the queue, without braces. "default" if not given."""

    max_retry: int
    """How often a task that failed is tried again before it is archived. 25; 0 for never."""

    timeout: float | timedelta
    """Time for one attempt. The handler is cancelled after it.

    1,800 s if neither this nor `deadline` is given; 0 and `math.inf` are no limit.
    """

    deadline: datetime
    """Instant after which the task is not worth running. With `timeout`, the earlier one ends it."""

    process_at: datetime
    """Do not run it before this instant. One in the past is now. Not with `process_in`."""

    process_in: float | timedelta
    """Do not run it before so much time has passed. Not with `process_at`."""

    unique: float | timedelta
    """Refuse another task of this queue, type and payload, for so long or until this one is done.

    For a delayed task the time counts from when it is due.
    """

    task_id: str
    """An id of your own. A task whose id is in the queue already is refused."""

    retention: float | timedelta
    """Keep the task and its result for so long after it succeeded. 0: forget it at once."""

    group: str
    """Gather it with others of this group, to be aggregated into one task."""

    headers: Mapping[str, str]
    """Text that travels with the task beside the payload."""

    expires_at: datetime
    """Drop the task if it has not been started by this instant. Not with `expires_in`."""

    expires_in: float | timedelta
    """Drop the task if it has not been started after so much time. Not with `expires_at`."""

    retry: str
    """Name of the retry policy, one that the server knows. The server's own if not given."""


class CheckedOptions(TypedDict, total=False):
    """Options that were checked: durations and instants are floats, with their final names."""

    queue: str
    max_retry: int
    timeout: float
    deadline: float
    at: float
    delay: float
    unique: float
    task_id: str
    retention: float
    group: str
    headers: dict[str, str]
    expires_at: float
    expires_in: float
    retry: str


_PROCESS_IN_VS_AT = "process_at or process_in, not both"
_EXPIRES_IN_VS_AT = "expires_at or expires_in, not both"


def check_options(options: Mapping[str, object], *, others: Iterable[str] = ()) -> CheckedOptions:
    """Check what a caller gave, and convert it.

    Args:
        options: Keyword arguments as `TaskOptions` describes them. Not kept, not changed.
        others: Names of what else may be said there; for the hint when a name is unknown.

    Raises:
        ConfigError: With every problem there is.
    """
    problems: list[Problem] = []
    checked: dict[str, Any] = {}
    for name, value in options.items():
        rule = _RULES.get(name)
        if rule is None:
            problems.append(Problem(name, value, _near_miss(name, [*_RULES, *others])))
            continue
        stored_as, convert, expected = rule
        converted = convert(value)
        if converted is None:
            problems.append(Problem(name, value, expected))
        else:
            checked[stored_as] = converted
    if "process_at" in options and "process_in" in options:
        problems.append(Problem("process_in", options["process_in"], _PROCESS_IN_VS_AT))
    if "expires_at" in options and "expires_in" in options:
        problems.append(Problem("expires_in", options["expires_in"], _EXPIRES_IN_VS_AT))
    if problems:
        raise ConfigError.of(problems)
    return cast("CheckedOptions", checked)


def merge_options(earlier: CheckedOptions, later: CheckedOptions) -> CheckedOptions:
    """Return the options of both, `later` winning.

    Headers are merged. `process_in` replaces an earlier `process_at` and the other way
    round, and so with `expires_in` and `expires_at`. Neither argument is changed.
    """
    if not later:
        return earlier
    if not earlier:
        return later
    merged = {**earlier, **later}
    for one, other in _ALTERNATIVES:
        if one in later:
            merged.pop(other, None)
        elif other in later:
            merged.pop(one, None)
    if "headers" in earlier and "headers" in later:
        merged["headers"] = {**earlier["headers"], **later["headers"]}
    return cast("CheckedOptions", merged)


_ALTERNATIVES = (("at", "delay"), ("expires_at", "expires_in"))


def public_options(checked: CheckedOptions) -> TaskOptions:
    """Return checked options as a caller would write them."""
    public: dict[str, Any] = dict(checked)
    if "at" in checked:
        public["process_at"] = from_unix(public.pop("at"))
    if "delay" in checked:
        public["process_in"] = public.pop("delay")
    for name in ("deadline", "expires_at"):
        if name in public:
            public[name] = from_unix(public[name])
    if "headers" in checked:
        public["headers"] = dict(checked["headers"])
    return cast("TaskOptions", public)


def is_text(value: object) -> bool:
    """Tell whether this is text that says something and that Redis can hold."""
    if not isinstance(value, str) or not value or value.isspace():
        return False
    return value.isascii() or _is_utf8(value)


def _is_utf8(value: str) -> bool:
    # A lone surrogate, as from a file name in a wrong encoding, has no UTF-8 form.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_queue_name(value: object) -> bool:
    """Tell whether a queue may be called this.

    Braces are refused since the first pair in a key decides its cluster slot.
    """
    return is_text(value) and "{" not in str(value) and "}" not in str(value)


def _near_miss(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"an option that exists; did you mean {close[0]!r}?"
    return f"one of {', '.join(sorted(known))}"


def _text(value: object) -> str | None:
    return cast("str", value) if is_text(value) else None


def _queue(value: object) -> str | None:
    return cast("str", value) if is_queue_name(value) else None


def _retries(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_RETRIES:
        return None
    return int(value)


def _timeout(value: object) -> float | None:
    result = duration_of(value)
    # For ever is written as 0 on the wire.
    return 0.0 if result == float("inf") else _bounded(result)


def _duration(value: object) -> float | None:
    return _bounded(duration_of(value))


def _bounded(result: float | None) -> float | None:
    return result if result is not None and result <= _LONGEST else None


def _unique(value: object) -> float | None:
    result = _duration(value)
    return result if result is not None and result >= _SHORTEST_UNIQUE else None


def _instant(value: object) -> float | None:
    result = instant_of(value)
    # Before 1970 there were no tasks, and 0 means "not given" on the wire.
    return None if result is None else max(result, _EARLIEST)


_EARLIEST = 1.0


def _headers(value: object) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    given = cast("Mapping[object, object]", value)
    for key, text in given.items():
        if not is_text(key) or not isinstance(text, str) or not (text.isascii() or _is_utf8(text)):
            return None
    return dict(cast("Mapping[str, str]", given))


_TEXT = "text that is not blank"
_BOUNDED = f"{DURATION}, at most 100 years"

# option → name after the check, conversion (None for a wrong value), expectation
_RULES: Final[dict[str, tuple[str, Callable[[object], object], str]]] = {
    "queue": ("queue", _queue, "a name that is not blank and has no braces"),
    "max_retry": ("max_retry", _retries, f"a whole number from 0 to {_MOST_RETRIES}"),
    "timeout": ("timeout", _timeout, f"{_BOUNDED}, or math.inf"),
    "deadline": ("deadline", _instant, INSTANT),
    "process_at": ("at", _instant, INSTANT),
    "process_in": ("delay", _duration, _BOUNDED),
    "unique": ("unique", _unique, "a positive number of seconds (0.001 or more), or a timedelta"),
    "task_id": ("task_id", _text, _TEXT),
    "retention": ("retention", _duration, _BOUNDED),
    "group": ("group", _text, _TEXT),
    "headers": ("headers", _headers, "a mapping of text to text, without blank names"),
    "expires_at": ("expires_at", _instant, INSTANT),
    "expires_in": ("expires_in", _duration, _BOUNDED),
    "retry": ("retry", _text, f"the name of a retry policy, {_TEXT}"),
}
