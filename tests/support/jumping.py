"""An event loop whose time jumps to the next timer instead of passing: hours take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["run_jumping"]


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: it says that the time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        # Without a timer somebody else must wake us, a thread say: that is waited for.
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_jumping(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a time of its own, which begins at 0. It must not talk to the network."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(work)
