"""What one program runs: servers with their muxes, and schedulers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from asyncq._door import Runs, run_alone
from asyncq._logs import SCHEDULER_LOG, Log
from asyncq._service import Errands
from asyncq._signals import handled
from asyncq.connection import ConnectionOptions
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.mux import Mux
from asyncq.scheduler import Scheduler
from asyncq.server import Server
from asyncq.shared import Connection

__all__ = ["App"]


class App(Runs):
    """A server with its mux, schedulers, or both, that live and leave together.

        app = App(Server(url, concurrency=20), mux, schedulers=[scheduler])

    `asyncq run module:app` runs it, with processes, reloading and so on; `app.run()` runs it as it is.
    Schedulers begin after the server. When one part ends, the others leave in order; when it broke, its
    error is raised then.

    Args:
        server: What takes tasks; `None` for schedulers alone.
        mux: Its handlers.
        schedulers: What enqueues periodically.
    """

    def __init__(
        self,
        server: Server | None = None,
        mux: Mux | None = None,
        *,
        schedulers: Iterable[Scheduler] = (),
    ) -> None:
        if server is not None and not isinstance(server, Server):
            raise ConfigError("server", server, "a Server")
        if server is not None and not isinstance(mux, Mux):
            raise ConfigError("mux", mux, "a Mux: the handlers of the server")
        if server is None and mux is not None:
            raise ConfigError("server", server, "a Server that runs the handlers of the mux")
        parts = [schedulers] if isinstance(schedulers, Scheduler) else list(schedulers)
        for part in parts:
            if not isinstance(part, Scheduler):
                raise ConfigError("schedulers", part, "schedulers")
        self._pairs: tuple[tuple[Server, Mux], ...] = ((server, mux),) if server and mux else ()
        self._schedulers: tuple[Scheduler, ...] = tuple(parts)
        if not self._pairs and not self._schedulers:
            raise ConfigError("app", "nothing", "a server with its mux, or schedulers")
        self._started: list[Server | Scheduler] = []
        self._errands = Errands()
        self._status = "new"
        self._left = asyncio.Event()
        self._broken: BaseException | None = None

    @classmethod
    def together(cls, parts: Iterable[App | Scheduler]) -> App:
        """One of several, for one process.

        Raises:
            ConfigError: A part is neither an app nor a scheduler, comes twice, or was started.
        """
        pairs: list[tuple[Server, Mux]] = []
        schedulers: list[Scheduler] = []
        for part in parts:
            if isinstance(part, App):
                pairs += part._pairs
                schedulers += part._schedulers
            elif isinstance(part, Scheduler):
                schedulers.append(part)
            else:
                raise ConfigError("app", part, "an App or a Scheduler")
        everything: list[Server | Scheduler] = [*(server for server, _ in pairs), *schedulers]
        for one in everything:
            if everything.count(one) > 1:
                raise ConfigError("app", one, "each server and each scheduler once")
        if not everything:
            raise ConfigError("app", "nothing", "at least one App or Scheduler")
        app = cls(*pairs[0]) if pairs else cls(schedulers=schedulers)
        app._pairs, app._schedulers = tuple(pairs), tuple(schedulers)
        return app

    @property
    def servers(self) -> tuple[Server, ...]:
        """What takes tasks."""
        return tuple(server for server, _ in self._pairs)

    @property
    def schedulers(self) -> tuple[Scheduler, ...]:
        """What enqueues periodically."""
        return self._schedulers

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The ways to Redis of all parts, each once."""
        parts: list[Server | Scheduler] = [*self.servers, *self.schedulers]
        return tuple(dict.fromkeys(part._connection for part in parts))

    def override(
        self, url: str | ConnectionOptions | None = None, *, prefix: str | None = None, **options: Any
    ) -> None:
        """Change where Redis is, and options of the servers, before it is started.

        A `Connection` that the parts share with clients is redirected with all of them. A client that
        was made from a URL goes on to lead where it did.

        Raises:
            AlreadyRunningError: It was started.
            ConfigError: Something is wrong.
        """
        if self._status != "new":
            raise AlreadyRunningError("the app")
        for connection in self.connections:
            connection.redirect(url, prefix=prefix)
        for server in self.servers:
            server.override(**options)

    def probe(self, where: str) -> None:
        """Answer probes at an address, before it is started: for its first server, or its first scheduler.

        Raises:
            AlreadyRunningError: It was started.
            ConfigError: It is no address.
        """
        if self._status != "new":
            raise AlreadyRunningError("the app")
        if self.servers:
            self.servers[0].override(probes=where)
        else:
            scheduler = self._schedulers[0]
            scheduler.config = replace(scheduler.config, probes=where)
            scheduler._probes.move(where)

    @property
    def probes_url(self) -> str | None:
        """Where probes are answered; `None` where they are not."""
        parts: list[Server | Scheduler] = [*self.servers, *self._schedulers]
        return next((part.probes_url for part in parts if part.probes_url is not None), None)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, and leave in order.

        The first signal takes no more tasks, enqueues nothing more, and lets running tasks finish for
        `shutdown_timeout` seconds; a second one puts them back at once. SIGTSTP only stops taking and
        enqueueing, and SIGCONT takes that back.

        Raises:
            AlreadyRunningError: It runs already, or is called inside an event loop.
            BrokerError: Redis cannot be used; the text says why and what to try.
        """
        run_alone(lambda: self._run(Orders(self).by_signal), instead="await app.serve()")

    async def _run(
        self,
        by_signal: dict[signal.Signals, Callable[[], None]],
        on_started: Callable[[], None] | None = None,
    ) -> None:
        """Run in an event loop that was made for it."""
        try:
            with handled(by_signal):
                await self.start()
                if on_started is not None and self._status == "running":
                    on_started()
                try:
                    await self.wait()
                finally:
                    await self.shutdown()
                    await self._errands.finish()
        finally:
            # The loop ends with us, so nobody else can use them afterwards.
            for connection in self.connections:
                await connection.aclose()

    async def start(self) -> None:
        """Start every part, and return when all work, or when it was told to leave before that.

        Raises:
            AlreadyRunningError: It runs already.
            ClosedError: It was shut down; make a new one.
            BrokerError: Redis cannot be used.
            BaseException: What the lifespan of a server raised. What was started has left then.
        """
        if self._status in ("leaving", "left"):
            raise ClosedError("the app")
        if self._status != "new":
            raise AlreadyRunningError("the app")
        self._status = "starting"
        try:
            for server, mux in self._pairs:
                await self._begin(server, partial(server.start, mux))
            for scheduler in self._schedulers:
                await self._begin(scheduler, scheduler.start)
        except BaseException:
            self._begin_to_leave()
            await self._left.wait()
            raise
        if self._status == "starting":
            self._status = "running"

    async def _begin(self, part: Server | Scheduler, start: Callable[[], Awaitable[None]]) -> None:
        if self._status != "starting":  # told to leave meanwhile
            return
        self._started.append(part)
        try:
            await start()
        except BaseException:
            self._started.remove(part)
            raise
        # When one part ends, asked or not, it is the end of all.
        self._beside(part.wait(), then=self._begin_to_leave)

    def _beside(self, work: Coroutine[Any, Any, None], then: Callable[[], None] | None = None) -> None:
        def note(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            self._broken = self._broken or error
            if then is not None:
                then()

        self._errands.start(work, name="app").add_done_callback(note)

    def _begin_to_leave(self) -> None:
        if self._status in ("starting", "running"):
            self._status = "leaving"
            self._errands.start(self._leave(), name="leave")

    async def _leave(self) -> None:
        for part in self._started:
            self._beside(part.shutdown())
        ended = [part.wait() for part in self._started]
        await asyncio.gather(*ended, return_exceptions=True)
        self._status = "left"
        self._left.set()

    async def wait(self) -> None:
        """Wait until every part has left.

        Raises:
            NotStartedError: It was not started yet.
            BaseException: What broke a part, if something did.
        """
        if self._status == "new":
            raise NotStartedError("the app")
        await self._left.wait()
        if self._broken is not None:
            raise self._broken

    async def stop(self) -> None:
        """Take no more tasks and enqueue nothing more, until `resume`. What runs goes on.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It is leaving, or has left.
        """
        for part in self._running():
            await part.stop()

    async def resume(self) -> None:
        """Take tasks and enqueue again after `stop`.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It is leaving, or has left.
        """
        for part in self._running():
            await part.resume()

    async def shutdown(self, *, now: bool = False) -> None:
        """Finish and leave. Does nothing when it does not run.

        Args:
            now: Do not let running tasks finish; put them back.
        """
        if self._status == "new":
            return
        self._begin_to_leave()
        if now:
            for part in self._started:
                if isinstance(part, Server):
                    self._beside(part.shutdown(now=True))
        await self.wait()

    def _running(self) -> list[Server | Scheduler]:
        if self._status in ("leaving", "left"):
            raise ClosedError("the app")
        if self._status != "running":
            raise NotStartedError("the app")
        return self._started


class Orders:
    """What signals, or a parent process, ask of an app that owns its process."""

    def __init__(self, app: App) -> None:
        self._app: Final = app
        self._log: Final[Log] = app.servers[0]._log if app.servers else SCHEDULER_LOG
        self.by_signal: Final[dict[signal.Signals, Callable[[], None]]] = {
            signal.SIGTERM: self.leave,
            signal.SIGINT: self.leave,
            signal.SIGTSTP: self.stop,
            signal.SIGCONT: self.resume,
        }
        self._is_leaving = False
        self._is_stopped = False

    def leave(self) -> None:
        """Leave; asked again, at once."""
        if self._is_leaving:
            self.hurry()
        else:
            self.leave_in_order()

    def leave_in_order(self) -> None:
        """Leave, and take the time for it, however often it is asked."""
        if not self._is_leaving:
            self._is_leaving = True
            self._say("asked to leave")
            self._app._beside(self._app.shutdown())

    def hurry(self) -> None:
        """Leave at once."""
        self._say("asked to leave, again: now" if self._is_leaving else "asked to leave now")
        self._is_leaving = True
        self._app._beside(self._app.shutdown(now=True))

    def stop(self) -> None:
        """Take no more tasks."""
        if self._app._status == "running" and not self._is_stopped:
            self._is_stopped = True
            self._say("asked to take no more tasks")
            self._app._beside(self._app.stop())

    def resume(self) -> None:
        """Take tasks again."""
        # It also comes to a process that was frozen, and then it is none of our business.
        if self._app._status == "running" and self._is_stopped:
            self._is_stopped = False
            self._say("asked to take tasks again")
            self._app._beside(self._app.resume())

    def _say(self, what: str) -> None:
        self._log.info(what, extra={"event": "signal"})
