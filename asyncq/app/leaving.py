"""How long a program may take to leave, and what happens when it takes longer."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from asyncq._clock import duration_of
from asyncq.errors import ConfigError, Problem

LOG: Final = logging.getLogger("asyncq.app")

WRAP_UP_TIME: Final = 1.0
WAIT_TIME: Final = 5.5
"""As in go-zero, where reading from a queue blocks for five seconds."""

REST: Final = WAIT_TIME - WRAP_UP_TIME
"""Seconds beyond the graces of services, before a program that has not left is told to hurry."""

LAST_PATIENCE: Final = 5.0
"""Seconds between telling everybody to hurry and ending the process, whatever hangs."""


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """The times of leaving, counted from the signal."""

    wrap_up_time: float | timedelta = WRAP_UP_TIME
    """How long everything goes on before the first service is stopped: time for a load balancer to look
    elsewhere, and for producers to hand over what they have. 0 for none."""

    wait_time: float | timedelta | None = None
    """How long leaving in order may take.

    What has not left then is told to hurry: servers put back what runs, everything else is cancelled; five
    seconds later the process ends, whatever hangs.

    When not given it is 5.5 s, as in go-zero, or longer where services need it: the wrap-up, their
    `shutdown_timeout`s (with the `cancel_grace` of a server), and 4.5 s. Keep it, and five seconds, below
    what your process manager allows between SIGTERM and SIGKILL. `math.inf` waits for ever."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name in ("wrap_up_time", "wait_time"):
            value = getattr(self, name)
            if value is None and name == "wait_time":
                continue
            if duration_of(value) is None:
                problems.append(Problem(name, value, "zero or a positive number of seconds, or a timedelta"))
        if not problems and self.wait_time is not None and self.wait < self.wrap_up:
            problems.append(
                Problem("wait_time", self.wait_time, f"at least wrap_up_time, {self.wrap_up:g} s")
            )
        if problems:
            raise ConfigError.of(problems)

    @property
    def wrap_up(self) -> float:
        """Seconds before the first service is stopped."""
        return duration_of(self.wrap_up_time) or 0.0

    @property
    def wait(self) -> float:
        """Seconds that leaving may take, as far as it was said."""
        return WAIT_TIME if self.wait_time is None else duration_of(self.wait_time) or 0.0

    def limit(self, graces: Sequence[float]) -> float:
        """Seconds after which everything is told to hurry.

        Args:
            graces: What each service gives to work that runs. They are stopped one after another.
        """
        if self.wait_time is not None:
            return self.wait
        return max(WAIT_TIME, self.wrap_up + sum(graces) + REST)


class ForceQuit:
    """Ends the process when it hangs: from a thread, since what hangs may be the event loop itself."""

    def __init__(self, end: Callable[[int], None] = os._exit) -> None:
        self._end: Final = end
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float, code: int) -> None:
        """End the process after so many seconds, whatever was said before."""
        self.disarm()
        if seconds > threading.TIMEOUT_MAX:
            return
        self._timer = threading.Timer(seconds, self.now, [code])
        self._timer.daemon = True
        self._timer.start()

    def now(self, code: int) -> None:
        """End the process."""
        LOG.error(
            "the process did not leave in time and is ended", extra={"event": "force_quit", "exit_code": code}
        )
        self._end(code)

    @property
    def is_armed(self) -> bool:
        """Whether it will end the process if nobody disarms it."""
        return self._timer is not None

    def disarm(self) -> None:
        """Let it live."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
