"""The options of a consumer, checked together."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from asyncq._checks import whole_problem
from asyncq._clock import DURATION, duration_of
from asyncq._logs import LoggerLike, level_of, logging_problems
from asyncq.dq.message import Discarded, Message
from asyncq.errors import ConfigError, Problem

Handler = Callable[[Message], Awaitable[Any]] | Callable[[Message], Any]
"""An `async def` runs on the event loop, a plain function in a thread."""

LEAST_HOLD: Final = 3
MOST_ATTEMPTS: Final = 1_000_000


def doubling(failures: int) -> float:
    """Seconds until a message is tried again: 2, 4, 8 and so on, up to five minutes."""
    return min(300.0, 2.0 ** min(failures, 10))


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerConfig:
    """The options of a `Consumer`. All have defaults."""

    ack: Literal["late", "early"] = "late"
    """When a message leaves its node. `late`: when it was handled, so that nothing is lost. `early`: before
    it is handled, in the order of go-queue, which hands it out once at the most."""

    concurrency: int = 8
    """Messages of each node that are handled at the same time, each over a connection of its own. go-queue
    has 1."""

    hold: int = 10
    """Whole seconds for which a message that is being handled is kept from others, unless that is prolonged,
    as it is every quarter of them. So long after a consumer was killed others get what it had. 3 at least."""

    max_attempts: int = 10
    """A message that failed so often is buried in its nodes. 0 tries it for ever."""

    backoff: Callable[[int], float] = doubling
    """Seconds until a message is tried again, of how often it has failed."""

    guard: float | timedelta | None = 1800.0
    """A message that nobody has begun so long after it was due is discarded, as in go-queue. `None` keeps
    it."""

    shutdown_timeout: float = 8.0
    """Seconds to let running handlers finish after a stop. The rest is cancelled, and its messages are ready
    for others at once."""

    on_error: Callable[[Message, Exception], Any] | None = None
    """Called after each attempt that failed. May be async."""

    on_discard: Callable[[Discarded], Any] | None = None
    """Called for what is discarded. May be async; when it fails the message is tried again, as any other."""

    name: str = "dq"
    """Of this consumer, for logs and metrics."""

    connect_timeout: float = 10.0
    """Seconds for one attempt to connect to a node."""

    response_timeout: float = 10.0
    """Seconds for one answer of a node."""

    logger: LoggerLike | None = None
    """Where it logs; the logger `asyncq.dq` when not given."""

    log_level: int | str | None = None
    """Log nothing below this."""

    def __post_init__(self) -> None:
        problems = [
            whole_problem("concurrency", self.concurrency, least=1),
            whole_problem("hold", self.hold, least=LEAST_HOLD),
            whole_problem("max_attempts", self.max_attempts, least=0),
            *logging_problems(self.logger, self.log_level),
        ]
        if self.ack not in ("late", "early"):
            problems.append(Problem("ack", self.ack, "'late' or 'early'"))
        if self.guard is not None and duration_of(self.guard) is None:
            problems.append(Problem("guard", self.guard, f"{DURATION}, or None"))
        if duration_of(self.shutdown_timeout) is None:
            problems.append(Problem("shutdown_timeout", self.shutdown_timeout, DURATION))
        for name in ("connect_timeout", "response_timeout"):
            value = duration_of(getattr(self, name))
            if value is None or not 0 < value < math.inf:
                problems.append(
                    Problem(name, getattr(self, name), "a number of seconds above 0, with an end")
                )
        for name in ("backoff", "on_error", "on_discard"):
            value = getattr(self, name)
            if not callable(value) and (value is not None or name == "backoff"):
                problems.append(Problem(name, value, "a function"))
        found = [problem for problem in problems if problem is not None]
        if found:
            raise ConfigError.of(found)

    @property
    def least_level(self) -> int | None:
        """`log_level` as a number."""
        return None if self.log_level is None else level_of(self.log_level)

    @property
    def guard_ns(self) -> int | None:
        """`guard` in nanoseconds."""
        found = None if self.guard is None else duration_of(self.guard)
        return None if found is None or found == math.inf else int(found * 1_000_000_000)
