"""A group of services that begin together, and leave one after another."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self

from asyncq._clock import seconds
from asyncq._door import run_alone
from asyncq._service import Errands
from asyncq._signals import handled
from asyncq.app.application import App
from asyncq.app.leaving import LAST_PATIENCE, LOG, ForceQuit, Shutdown
from asyncq.app.service import Part, Service, part_of
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server

HURRY_PATIENCE: Final = 2.0
"""Seconds for a service that was told to hurry, before it is cancelled."""

CANCEL_PATIENCE: Final = 1.0
"""Seconds for one that was cancelled, before nobody waits for it any more."""

Signals = Iterable[signal.Signals]


class ServiceGroup:
    """Runs services: starts all of them together, and stops them one by one, the last one first.

        group = ServiceGroup()
        group.add(Server(url), mux)
        group.add(scheduler)
        group.add(consumer)
        group.run()

    `run()` blocks and owns the signals. Inside an event loop of your own `await group.start()` does the
    same without the signals, and `async with group:` runs for the length of a block. A group is a service
    itself, so it can be added to another one.

    The group ends when every service has ended. One that fails stops the others, and its error is raised,
    with a note that names it. One that does not stop in its time is cancelled, and the next one is stopped.

    Args:
        shutdown: The times of leaving.
        on_wrap_up: Called at the first signal, before anything is stopped; may be async.
        signals: What `run` takes as the order to leave.

    Raises:
        ConfigError: `shutdown` or `signals` is wrong.
    """

    name = "group"

    def __init__(
        self,
        *,
        shutdown: Shutdown | None = None,
        on_wrap_up: Callable[[], Awaitable[None] | None] | None = None,
        signals: Signals = (signal.SIGTERM, signal.SIGINT),
    ) -> None:
        if shutdown is not None and not isinstance(shutdown, Shutdown):
            raise ConfigError("shutdown", shutdown, "a Shutdown")
        self.shutdown: Final = shutdown or Shutdown()
        self._on_wrap_up: Final = on_wrap_up
        self._signals: Final = tuple(signals)
        self._services: Final[list[object]] = []
        self._parts: Final[list[Part]] = []
        self._runs: Final[dict[Part, asyncio.Task[None]]] = {}
        self._errands: Final = Errands()
        self._status = "new"
        self._left: Final = asyncio.Event()
        self._hurried: Final = asyncio.Event()
        self._broken: BaseException | None = None
        self._force_quit: ForceQuit | None = None

    def add(
        self,
        service: Service | Server | Scheduler | App,
        mux: Mux | None = None,
        *,
        name: str | None = None,
        stop_timeout: float | timedelta | None = None,
    ) -> Self:
        """Add a service. It is stopped before those that were added before it.

        Args:
            service: A `Server`, a `Scheduler`, an `App`, or what has `start` and `stop` as `Service` says.
            mux: The handlers of a server.
            name: For logs and errors; the `name` of the service, or that of its class, when not given.
            stop_timeout: Seconds after which it is cancelled when it does not stop. When not given, what it
                says in `shutdown_timeout`, or 0, and 5 s.

        Raises:
            ConfigError: It is no service, or it was added before.
            AlreadyRunningError: The group was started.
        """
        if self._status != "new":
            raise AlreadyRunningError("the group")
        if any(one is service for one in self._services):
            raise ConfigError("service", service, "each service once")
        patience = None if stop_timeout is None else seconds(stop_timeout, name="stop_timeout")
        part = part_of(service, mux, name=name, patience=patience)
        self._services.append(service)
        self._parts.append(part)
        return self

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that its services may need to stop, one after another."""
        return sum(part.patience for part in self._parts)

    def run(self) -> None:
        """Run until every service has ended, or until SIGTERM or SIGINT, and leave in order.

        The first signal begins the wrap-up, after which the services are stopped. A second one makes them
        hurry, and so does the end of `wait_time`; a third one ends the process. SIGTSTP lets servers and
        schedulers rest, and SIGCONT takes that back.

        Raises:
            ConfigError: There is no service.
            AlreadyRunningError: It runs already, or is called inside an event loop.
            BaseException: What a service raised.
        """
        quitting = ForceQuit()
        try:
            run_alone(partial(self._run, quitting), instead="await group.start()")
        finally:
            quitting.disarm()

    async def _run(self, quitting: ForceQuit) -> None:
        self._force_quit = quitting
        try:
            with handled(_Orders(self, quitting, self._signals).by_signal):
                await self.start()
        finally:
            # The loop ends with us, so nobody else can use them afterwards.
            for connection in dict.fromkeys(one for part in self._parts for one in part.connections):
                await connection.aclose()

    async def start(self) -> None:
        """Start every service, and wait until all have ended.

        Cancelling it leaves in order, and then goes on. It returns at once when it was stopped before.

        Raises:
            ConfigError: There is no service.
            AlreadyRunningError: It runs already.
            ClosedError: It was stopped; make a new one.
            BaseException: What a service raised.
        """
        self._begin()
        try:
            await self.wait()
        finally:
            await self.stop()

    def _begin(self) -> None:
        if not self._parts:
            raise ConfigError("services", [], "at least one: group.add(service)")
        if self._status in ("leaving", "left") and not self._runs:
            return  # stopped before it began
        if self._status != "new":
            raise AlreadyRunningError("the group") if self._status == "running" else ClosedError("the group")
        self._status = "running"
        names = ", ".join(part.name for part in self._parts)
        LOG.info("runs %s", names, extra={"event": "group_started", "services": len(self._parts)})
        for part in self._parts:
            run = self._runs[part] = self._errands.start(part.run(), name=part.name)
            run.add_done_callback(partial(self._ended, part))

    def _ended(self, part: Part, run: asyncio.Task[None]) -> None:
        error = None if run.cancelled() else run.exception()
        if error is not None:
            self._note(part.name, error)
        else:
            LOG.info("%s has ended", part.name, extra={"event": "service_ended", "service": part.name})
        if error is not None or all(one.done() for one in self._runs.values()):
            self._begin_to_leave()

    def _note(self, name: str, error: BaseException) -> None:
        """Remember what failed. The first error is the one of the group, the others are logged only."""
        if error is self._broken:
            return
        error.add_note(f"raised by the service {name!r} of a group")
        LOG.error(
            "%s failed: %s", name, error, exc_info=error, extra={"event": "service_failed", "service": name}
        )
        self._broken = self._broken or error

    async def wait(self) -> None:
        """Wait until every service has ended.

        Raises:
            NotStartedError: It was not started yet.
            BaseException: What a service raised.
        """
        if self._status == "new":
            raise NotStartedError("the group")
        await self._left.wait()
        if self._broken is not None:
            raise self._broken

    async def stop(self, *, now: bool = False) -> None:
        """Stop the services, one after another, and wait for that. May be called twice, and before `start`.

        Before `start` they are stopped, too: some hold something since they were made. A service that calls
        it does not wait, since it would wait for itself.

        Args:
            now: Make them hurry: servers put back what runs, everything else is cancelled.
        """
        self._begin_to_leave()
        if now:
            self._hurry()
        if asyncio.current_task() not in self._runs.values():
            await self._left.wait()

    def _begin_to_leave(self) -> None:
        if self._status in ("new", "running"):
            self._status = "leaving"
            if self._force_quit is not None and not self._force_quit.is_armed:
                limit = self.shutdown.limit([part.grace for part in self._parts])
                self._give_time(limit, code=1)
            self._errands.start(self._leave(), name="leave")

    async def _leave(self) -> None:
        for part in reversed(self._parts):
            await self._stop(part)
        self._status = "left"
        LOG.info("has left", extra={"event": "group_left"})
        self._left.set()

    async def _stop(self, part: Part) -> None:
        """Stop one service, whatever it does."""
        stopping = self._errands.start(part.stop(), name=f"stop {part.name}")
        run = self._runs.get(part, stopping)  # none, when it is stopped before it began
        both: set[asyncio.Task[Any]] = {stopping, run}
        await self._until(both, part.patience)
        late = [one for one in both if not one.done()]
        if late and not self._hurried.is_set():
            LOG.error(
                "%s did not stop within %g s, and is cancelled",
                part.name,
                part.patience,
                extra={"event": "service_hangs", "service": part.name, "seconds": part.patience},
            )
        elif late:
            await asyncio.wait(late, timeout=HURRY_PATIENCE)
        late = [one for one in both if not one.done()]
        for one in late:
            one.cancel()
        if late and (await asyncio.wait(late, timeout=CANCEL_PATIENCE))[1]:
            LOG.error(
                "%s does not end, and is left alone",
                part.name,
                extra={"event": "service_stuck", "service": part.name},
            )
        if stopping.done() and not stopping.cancelled() and (error := stopping.exception()) is not None:
            self._note(part.name, error)

    async def _until(self, tasks: Iterable[asyncio.Task[Any]], patience: float) -> None:
        """Wait until they are done, for so many seconds, or until everybody has to hurry."""
        hurried = self._errands.start(self._hurried.wait(), name="hurry")
        done = self._errands.start(_all(tasks), name="done")
        try:
            limit = None if patience == float("inf") else patience
            await asyncio.wait([hurried, done], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
            done.cancel()

    def _hurry(self) -> None:
        if self._hurried.is_set():
            return
        self._hurried.set()
        for part, run in self._runs.items():
            if run.done():
                continue
            hurrying = part.hurry()
            if hurrying is None:
                run.cancel()
            else:
                self._beside(hurrying, part.name)

    def _beside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        def note(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._note(name, error)

        self._errands.start(work, name=name).add_done_callback(note)

    def _give_time(self, limit: float, *, code: int) -> None:
        """Make them hurry after so many seconds, and end the process a bit later."""
        if self._force_quit is None:
            return
        self._force_quit.arm(limit + LAST_PATIENCE, code)
        if limit != float("inf"):
            asyncio.get_running_loop().call_later(limit, self._hurry)

    async def _wrap_up(self) -> None:
        """Go on for a moment, then leave."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.shutdown.wrap_up):
                    if self._on_wrap_up is not None:
                        made = self._on_wrap_up()
                        if inspect.isawaitable(made):
                            await made
                    await self._hurried.wait()
        finally:
            self._begin_to_leave()

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            await self._until([self._errands.start(self._all_work(), name="begin")], float("inf"))
        except BaseException:
            await self.stop()
            raise
        if self._broken is not None:
            await self.wait()
        return self

    async def _all_work(self) -> None:
        """Wait until every service works, as far as one can see that, or until they leave."""
        for part, run in self._runs.items():
            works = self._errands.start(part.works.wait(), name="begin")
            await asyncio.wait([works, run], return_when=asyncio.FIRST_COMPLETED)
            works.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if kind is None:
            await self.wait()


async def _all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.wait(set(tasks))


class _Orders:
    """What signals ask of a group that owns its process."""

    def __init__(self, group: ServiceGroup, quitting: ForceQuit, signals: Signals) -> None:
        self._group: Final = group
        self._quitting: Final = quitting
        self._asked = 0
        self._rests = False
        self.by_signal: Final[dict[signal.Signals, Callable[[], None]]] = {
            **{one: partial(self._leave, one) for one in signals},
            signal.SIGTSTP: self._rest,
            signal.SIGCONT: self._go_on,
        }

    def _leave(self, number: signal.Signals) -> None:
        self._asked += 1
        code, group = 128 + number, self._group
        if self._asked == 1:
            self._say("asked to leave")
            group._give_time(group.shutdown.limit([part.grace for part in group._parts]), code=code)
            group._beside(group._wrap_up(), "wrap up")
        elif self._asked == 2:
            self._say("asked to leave, again: now")
            self._quitting.arm(LAST_PATIENCE, code)
            group._begin_to_leave()
            group._hurry()
        else:
            self._quitting.now(code)

    def _rest(self) -> None:
        if not self._asked and not self._rests:
            self._rests = True
            self._say("asked to begin nothing new")
            for part in self._group._parts:
                self._group._beside(part.rest(), part.name)

    def _go_on(self) -> None:
        # It also comes to a process that was frozen, and then it is none of our business.
        if not self._asked and self._rests:
            self._rests = False
            self._say("asked to go on")
            for part in self._group._parts:
                self._group._beside(part.go_on(), part.name)

    def _say(self, what: str) -> None:
        LOG.info(what, extra={"event": "signal"})
