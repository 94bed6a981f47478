"""What to do when a child process has ended, decided apart from doing it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

STEADY: Final = 10.0
"""Seconds after which a process counts as one that works; when it ends then, the next starts at once."""

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0

VAIN_STARTS: Final = 5
"""So many starts in a row that came to nothing, with no process left that works, are the end."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended that nobody had asked to."""

    code: int
    """As the system says it: negative for a signal."""
    was_ready: bool
    """Whether it could start: not when the program could not be loaded, or Redis not be reached."""
    lived: float
    """Seconds since then, or since its start."""

    def __str__(self) -> str:
        if self.code < 0:
            try:
                how = f"was ended by {signal.Signals(-self.code).name}"
            except ValueError:
                how = f"was ended by signal {-self.code}"
        else:
            how = f"ended with exit code {self.code}"
        return how if self.was_ready else f"{how} before it had started"


class Restarts:
    """When the processes that ended start again, and when that has no sense any more."""

    def __init__(self) -> None:
        self._has_worked = False
        self._vain = 0
        self._in_a_row: dict[int, int] = {}

    def started(self) -> None:
        """A process works."""
        self._has_worked = True
        self._vain = 0

    def forget(self) -> None:
        """The code is new: what the old one did does not count."""
        self._in_a_row.clear()
        self._vain = 0

    def delay(self, number: int, ending: Ending) -> float:
        """Seconds until the process of this number starts again."""
        if ending.was_ready and ending.lived >= STEADY:
            self._in_a_row.pop(number, None)
            return 0.0
        before = self._in_a_row.get(number, 0)
        self._in_a_row[number] = before + 1
        self._vain += not ending.was_ready
        return min(FIRST_DELAY * 2.0**before, LONGEST_DELAY)

    def is_over(self, *, working: int) -> bool:
        """Whether to give up: the very first start failed, or many did and nobody is left.

        A program that cannot start is a mistake that somebody has just made, and whoever starts us, a
        deploy say, must see it at once. What broke later may mend: Redis may come back.
        """
        return working == 0 and self._vain >= (VAIN_STARTS if self._has_worked else 1)
