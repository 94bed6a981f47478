"""What a group runs: services, and what is made one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast, runtime_checkable

from asyncq._clock import duration_of
from asyncq._service import Errands
from asyncq.app.application import App
from asyncq.errors import ConfigError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server
from asyncq.shared import Connection

STOP_PATIENCE: Final = 5.0
"""Seconds for a `stop` that says nothing about its time; and what one that does gets beyond it."""

SERVICE: Final = (
    "a Server with its mux, a Scheduler, an App, or an object with `async def start()` and `async def stop()`"
)


@runtime_checkable
class Service(Protocol):
    """What can be added to a group.

    It may have two attributes besides: `name`, a text for logs and errors, and `shutdown_timeout`, the
    seconds that its `stop` gives to work that runs.
    """

    async def start(self) -> None:
        """Run until it is stopped or has nothing more to do; raise when it failed.

        A group that has no more time cancels this.
        """
        ...

    async def stop(self) -> None:
        """Ask it to end, and wait for that. May be called twice, and before `start`."""
        ...


class _Function:
    """A coroutine function as a service: stopping cancels it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, object]], name: str) -> None:
        self.name: Final = name
        self._work: Final = work
        self._errands: Final = Errands()
        self._task: asyncio.Task[object] | None = None
        self._is_stopped = False

    async def start(self) -> None:
        """Run it."""
        if self._is_stopped:
            return
        # In a task of its own, so that `stop` cancels the function and not whoever waits for it.
        task = self._task = self._errands.start(self._work(), name=self.name)
        try:
            await asyncio.wait([task])
        finally:
            await self._errands.cancel()
        if not task.cancelled():
            task.result()

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        self._is_stopped = True
        await self._errands.cancel()


def with_start(
    function: Callable[..., Coroutine[Any, Any, object]], *args: Any, name: str | None = None
) -> Service:
    """Make a service of a coroutine function. To stop it is to cancel it.

        group.add(with_start(poll_the_bank, client))

    Args:
        function: What to run. When it returns, the service has ended, and the group goes on.
        args: Its arguments.
        name: For logs and errors; that of the function when not given.

    Raises:
        ConfigError: It is no coroutine function.
    """
    bare: Any = function
    while isinstance(bare, partial):
        bare = cast("Any", bare).func
    called = type(bare).__call__ if callable(bare) else None
    if not (inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(called)):
        raise ConfigError("function", function, "a coroutine function, `async def`")
    said = name or getattr(bare, "__name__", "") or type(bare).__name__
    return _Function(partial(function, *args), str(said))


class Part:
    """One service of a group: how it is run, stopped and hurried, and how long that may take.

    Args:
        name: For logs and errors.
        grace: Seconds that it gives to work that runs when it is stopped.
        patience: Seconds after which its stopping is given up; `grace` and a bit when not given.
    """

    connections: Sequence[Connection] = ()
    """What leads to Redis, to be closed when the event loop ends."""

    def __init__(self, name: str, grace: float, patience: float | None) -> None:
        self.name: Final = name
        self.grace: Final = grace
        self.patience: Final = grace + STOP_PATIENCE if patience is None else patience
        self.works: Final = asyncio.Event()  #: set when it has begun, as far as one can see

    async def run(self) -> None:
        """Run until it ends."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Ask it to end, and wait for that."""
        raise NotImplementedError

    def hurry(self) -> Coroutine[Any, Any, None] | None:
        """What makes it end at once and in order; `None` when nothing does but cancelling `run`."""
        return None

    async def rest(self) -> None:
        """Begin nothing new. Does nothing where there is no such thing."""

    async def go_on(self) -> None:
        """Undo `rest`."""


class _Plain(Part):
    """Whatever conforms to the protocol."""

    def __init__(self, service: Service, name: str, patience: float | None) -> None:
        super().__init__(name, duration_of(getattr(service, "shutdown_timeout", 0.0)) or 0.0, patience)
        self._service: Final = service

    async def run(self) -> None:
        self.works.set()
        await self._service.start()

    async def stop(self) -> None:
        await self._service.stop()


class _Door(Part):
    """A server, a scheduler or an app, whose `start` returns when it works, and whose `stop` is a rest."""

    def __init__(
        self,
        door: Server | Scheduler | App,
        start: Callable[[], Awaitable[None]],
        name: str,
        patience: float | None,
    ) -> None:
        servers = [door] if isinstance(door, Server) else door.servers if isinstance(door, App) else []
        times = (one.config.shutdown_timeout + one.config.cancel_grace for one in servers)
        super().__init__(name, max(times, default=0.0), patience)
        self.connections = door.connections if isinstance(door, App) else (door._connection,)
        self._door: Final = door
        self._start: Final = start
        self._is_stopped = False

    async def run(self) -> None:
        if self._is_stopped:
            return
        await self._start()
        self.works.set()
        await self._door.wait()

    async def stop(self) -> None:
        self._is_stopped = True
        await self._door.shutdown()

    def hurry(self) -> Coroutine[Any, Any, None]:
        self._is_stopped = True
        return self._door.shutdown() if isinstance(self._door, Scheduler) else self._door.shutdown(now=True)

    async def rest(self) -> None:
        if self.works.is_set() and not self._is_stopped:
            await self._door.stop()

    async def go_on(self) -> None:
        if self.works.is_set() and not self._is_stopped:
            await self._door.resume()


def part_of(service: object, mux: Mux | None, *, name: str | None, patience: float | None) -> Part:
    """One service of a group.

    Raises:
        ConfigError: It is none, or a mux is missing or too many.
    """
    if isinstance(service, Server):
        if not isinstance(mux, Mux):
            raise ConfigError("mux", mux, "a Mux: the handlers of the server")
        return _Door(service, partial(service.start, mux), name or "server", patience)
    if mux is not None:
        raise ConfigError("mux", mux, "nothing: only a Server has a mux")
    if isinstance(service, (Scheduler, App)):
        kind = "app" if isinstance(service, App) else "scheduler"
        return _Door(service, service.start, name or kind, patience)
    if isinstance(service, type) or not isinstance(service, Service):
        raise ConfigError("service", service, SERVICE)
    said = getattr(service, "name", None)
    return _Plain(
        service, name or (said if isinstance(said, str) and said else type(service).__name__), patience
    )
