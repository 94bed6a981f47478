"""An event loop that can be interrupted after each of its turns.

A coroutine gives way at every await, and a turn of the loop lies between two of them. So to do
something "at every await" is to do it after the first turn, and in another run after the second,
and so on until a run ends before it comes to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

__all__ = ["Stepper", "every_step"]

# A scenario that is over at once would prove nothing, and say nothing.
_FEWEST = 20


class Stepper(asyncio.SelectorEventLoop):
    """Counts turns from `arm` on, and acts once after a number of them."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.has_acted = False
        self._turns = -1
        self._action: Callable[[], object] = lambda: None

    def arm(self, action: Callable[[], object]) -> None:
        """Begin to count: `action` is called after `step` turns, between callbacks."""
        self._action = action
        self._turns = 0

    def disarm(self) -> None:
        """What comes now is not interrupted any more."""
        self._turns = -1

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc] # the one place where a turn is a turn
        if self._turns < 0:
            return
        self._turns += 1
        if self._turns == self.step:
            self.has_acted = True
            self._turns = -1
            self._action()


def every_step(scenario: Callable[[Stepper], Coroutine[Any, Any, None]], limit: int = 2000) -> Iterator[int]:
    """Run a scenario again and again, with one more turn before the action, until there is no action.

    Yields the step after each run, for the caller to look at what is left.
    """
    for step in range(1, limit):
        with asyncio.Runner(loop_factory=lambda step=step: Stepper(step)) as runner:  # type: ignore[misc]
            loop = runner.get_loop()
            assert isinstance(loop, Stepper)
            runner.run(scenario(loop))
            left = asyncio.all_tasks(loop)
            assert not left, f"step {step}: tasks left: {left}"
        yield step
        if not loop.has_acted:
            assert step > _FEWEST, f"the scenario has only {step} steps"
            return
    message = f"the scenario has more than {limit} steps"
    raise AssertionError(message)
