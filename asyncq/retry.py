"""When a task that failed is tried again.

A policy is an object with a method `delay`, or a plain function of the same arguments. The
server has one for all tasks and may have further ones by name, which a task asks for with
its option `retry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple, Protocol, cast

from asyncq._clock import duration_of, seconds
from asyncq.errors import ConfigError, Problem
from asyncq.task import Task

__all__ = [
    "AsynqBackoff",
    "Exponential",
    "Fixed",
    "RetryDelay",
    "RetryFunction",
    "RetryPolicies",
    "RetryPolicy",
]

LONGEST_DELAY: Final = 366 * 86400.0
"""Seconds, a year. A policy that says more has lost count."""

# One generator for all policies that were not given their own. Threads may share it.
_RANDOM = Random()


class RetryPolicy(Protocol):
    """Says how long to wait before a task that failed is tried again."""

    def delay(self, retried: int, error: BaseException, task: Task, /) -> float | timedelta:
        """Return the time to wait.

        Args:
            retried: How many retries were used before this failure: 0 at the first.
            error: What the handler raised.
            task: The task that failed.
        """
        ...


RetryFunction = Callable[[int, BaseException, Task], "float | timedelta"]
"""A policy as a plain function; its arguments are those of `RetryPolicy.delay`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsynqBackoff:
    """The policy of asynq: `n^4 + 15 + random(0..29) * (n + 1)` seconds.

    The first retry comes after 15 to 44 s, the tenth after about two hours, and all 25
    of them take about three weeks.
    """

    random: Random = field(default=_RANDOM, repr=False)
    """Where the random part comes from."""

    def delay(self, retried: int, error: BaseException, task: Task, /) -> float:
        """Return the time to wait after so many retries."""
        del error, task
        return float(retried**4 + 15 + self.random.randint(0, 29) * (retried + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Waits that grow by a factor, up to a maximum, with a random part taken off.

    Without the random part, tasks that failed together would all come back together.
    """

    base: float | timedelta = 1.0
    """The first wait, in seconds or as a `timedelta`."""

    factor: float = 2.0
    """By how much each wait is longer than the one before. At least 1."""

    maximum: float | timedelta = 3600.0
    """The longest wait. Not below `base`."""

    jitter: float = 0.5
    """Which part of a wait is random, from 0 for none to 1 for all of it."""

    random: Random = field(default=_RANDOM, repr=False)
    """Where the random part comes from."""

    def __post_init__(self) -> None:
        """Check all options and report all problems."""
        problems: list[Problem] = []
        base, maximum = duration_of(self.base), duration_of(self.maximum)
        if base is None or base == math.inf:
            problems.append(Problem("base", self.base, "zero or a positive number of seconds"))
        elif maximum is None or maximum < base:
            problems.append(Problem("maximum", self.maximum, "a number of seconds, at least `base`"))
        if not 1.0 <= self.factor < math.inf:
            problems.append(Problem("factor", self.factor, "a number, 1 or more"))
        if not 0.0 <= self.jitter <= 1.0:
            problems.append(Problem("jitter", self.jitter, "a number from 0 to 1"))
        if problems:
            raise ConfigError.of(problems)

    def delay(self, retried: int, error: BaseException, task: Task, /) -> float:
        """Return the time to wait after so many retries."""
        del error, task
        maximum = seconds(self.maximum, name="maximum")
        try:
            longest = min(seconds(self.base, name="base") * self.factor**retried, maximum)
        except OverflowError:
            longest = maximum
        return longest * (1.0 - self.jitter * self.random.random())


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait each time."""

    wait: float | timedelta
    """Seconds or a `timedelta`."""

    def __post_init__(self) -> None:
        """Check the wait."""
        if seconds(self.wait, name="wait") == math.inf:
            raise ConfigError("wait", self.wait, "a number of seconds that ends")

    def delay(self, retried: int, error: BaseException, task: Task, /) -> float:
        """Return the time to wait."""
        del retried, error, task
        return seconds(self.wait, name="wait")


@dataclass(frozen=True, slots=True)
class _FromFunction:
    function: RetryFunction

    def delay(self, retried: int, error: BaseException, task: Task, /) -> float | timedelta:
        return self.function(retried, error, task)


class RetryDelay(NamedTuple):
    """What came out of asking a policy."""

    seconds: float
    """How long to wait."""
    problem: Exception | None = None
    """What was wrong with the policy or its answer; to be logged. None if nothing was."""


class RetryPolicies:
    """The policies of a server: its own, and those that tasks may ask for by name.

    `asynq` is always among them, unless another policy was given that name.

    Args:
        default: The server's own; asynq's if None.
        named: Further ones by name.
    """

    __slots__ = ("_by_name", "_default", "_fallback")

    def __init__(
        self,
        default: RetryPolicy | RetryFunction | None = None,
        named: Mapping[str, RetryPolicy | RetryFunction] | None = None,
    ) -> None:
        """Check the policies and copy the mapping."""
        self._fallback = AsynqBackoff()
        problems: list[Problem] = []
        by_name: dict[str, RetryPolicy] = {"asynq": self._fallback}
        for name, given in (named or {}).items():
            policy = _as_policy(given)
            if not name.strip():
                problems.append(Problem("retry_policies", name, "a name that is not blank"))
            elif policy is None:
                problems.append(Problem(f"retry_policies[{name!r}]", given, _POLICY))
            else:
                by_name[name] = policy
        own = self._fallback if default is None else _as_policy(default)
        if own is None:
            problems.append(Problem("retry", default, _POLICY))
        if problems:
            raise ConfigError.of(problems)
        self._default = own or self._fallback
        self._by_name = by_name

    @property
    def names(self) -> tuple[str, ...]:
        """The names that tasks may ask for."""
        return tuple(self._by_name)

    def delay(self, name: str, retried: int, error: BaseException, task: Task) -> RetryDelay:
        """Return how long to wait before `task` is tried again. Never raises.

        Args:
            name: The policy the task asked for; empty for the server's own.
            retried: How many retries were used before this failure.
            error: What the handler raised.
            task: The task that failed.
        """
        policy = self._by_name.get(name) if name else self._default
        if policy is None:
            problem = ConfigError("retry", name, f"one of {', '.join(self._by_name)}")
            return self.delay("", retried, error, task)._replace(problem=problem)
        try:
            answer: object = policy.delay(retried, error, task)
        except Exception as failed:  # noqa: BLE001 - a user's policy: its error is reported, the task retried
            return self._asynq(retried, error, task, failed)
        wait = duration_of(answer)
        if wait is None:
            wrong = ConfigError("delay", answer, "zero or a positive number of seconds, or a timedelta")
            if _is_negative(answer):
                return RetryDelay(0.0, wrong)
            return self._asynq(retried, error, task, wrong)
        if wait > LONGEST_DELAY:
            return RetryDelay(LONGEST_DELAY, ConfigError("delay", answer, "at most a year"))
        return RetryDelay(wait)

    def _asynq(self, retried: int, error: BaseException, task: Task, problem: Exception) -> RetryDelay:
        wait = min(self._fallback.delay(retried, error, task), LONGEST_DELAY)
        return RetryDelay(wait, problem)


_POLICY = "an object with a method `delay`, or a function (retried, error, task)"


def _is_negative(answer: object) -> bool:
    if isinstance(answer, timedelta):
        return answer.total_seconds() < 0
    return isinstance(answer, (int, float)) and not isinstance(answer, bool) and answer < 0


def _as_policy(given: RetryPolicy | RetryFunction) -> RetryPolicy | None:
    if isinstance(given, type):
        return None  # a class where an object was meant: `Exponential` for `Exponential()`
    if callable(getattr(given, "delay", None)):
        return cast("RetryPolicy", given)
    return _FromFunction(given) if callable(given) else None
