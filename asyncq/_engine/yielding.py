"""How long to let others go first, where all hear of a task and one can have it. Decides, does nothing."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 0.001
LONGEST: Final = 0.008
"""Seconds within which the others look. Drawn evenly, so that of many one looks soon and the rest in vain or
not at all; what is left of the five milliseconds in which an idle server begins is for the way."""

LONGEST_IN_VAIN: Final = 0.064
VAIN: Final = 20
"""Times in a row after which it is longer: somebody is always quicker, and there is much to hear."""


class Yielding:
    """One server's turn among those that wait for the same tasks.

    Whoever gets something goes first the next time, at once. Whoever comes too late again and again goes
    later, as the forwarders do.
    """

    def __init__(self) -> None:
        self._within = 0.0
        self._missed = 0

    def delay(self) -> float:
        """Seconds to wait before looking; mostly none for one server of a fleet, or for the only one."""
        return random.uniform(0.0, self._within) if self._within else 0.0

    def note(self, *, found: bool) -> None:
        """Whether there was something, when it was our turn."""
        if found:
            self._missed = 0
            self._within = 0.0
            return
        self._missed += 1
        if self._missed > 1:  # once is an accident
            longest = LONGEST if self._missed <= VAIN else LONGEST_IN_VAIN
            self._within = min(max(FIRST, self._within * 2), longest)
