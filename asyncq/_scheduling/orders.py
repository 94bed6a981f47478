"""What signals ask of a scheduler that owns its process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from asyncq._service import Errands


class Obeys(Protocol):
    """A scheduler."""

    @property
    def status(self) -> str:
        """Where it is in its life."""
        ...

    def shutdown(self) -> Coroutine[Any, Any, None]:
        """Leave."""
        ...

    def stop(self) -> Coroutine[Any, Any, None]:
        """Enqueue nothing more."""
        ...

    def resume(self) -> Coroutine[Any, Any, None]:
        """Enqueue again."""
        ...


class Orders:
    """SIGTERM and SIGINT: leave. SIGTSTP: enqueue nothing more. SIGCONT: do again."""

    def __init__(self, scheduler: Obeys, errands: Errands) -> None:
        self._scheduler: Final = scheduler
        self._errands: Final = errands
        self.by_signal: Final[dict[signal.Signals, Callable[[], None]]] = {
            signal.SIGTERM: self._leave,
            signal.SIGINT: self._leave,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._resume,
        }

    def _leave(self) -> None:
        self._errands.start(self._scheduler.shutdown(), name="leave")

    def _stop(self) -> None:
        if self._scheduler.status in ("starting", "running"):
            self._errands.start(self._scheduler.stop(), name="stop")

    def _resume(self) -> None:
        # It also comes to a process that was frozen, and then there is nothing to take back.
        if self._scheduler.status in ("starting", "running", "stopped"):
            self._errands.start(self._scheduler.resume(), name="resume")
