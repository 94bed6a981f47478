"""The server: takes tasks from queues and runs their handlers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from asyncq._broker.checkup import check, check_once
from asyncq._checks import refuse_unknown
from asyncq._door import run_alone
from asyncq._engine.condition import Observer
from asyncq._engine.supervisor import Supervisor
from asyncq._http import Page, Request
from asyncq._logs import SERVER_LOG, Log, log_for
from asyncq._probes import Probed, Probes
from asyncq._service import Errands
from asyncq._signals import handled
from asyncq.config import ServerConfig
from asyncq.connection import ConnectionOptions, Pong
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.measures import ServerMeasures
from asyncq.mux import Mux
from asyncq.shared import Connection, read_connection

__all__ = ["Page", "Request", "Server"]


class Server(Probed):
    """Runs tasks.

    `run(mux)` blocks and owns the signals of the process; that is all most programs need:

        Server("redis://localhost:6379/0", concurrency=20, queues={"critical": 6, "default": 3}).run(mux)

    Inside an event loop of your own, `await serve(mux)` does the same without the signals, and
    `async with server.running(mux):` serves for the length of a block.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        config: The options as an object.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
        options: The options of `ServerConfig` by name; they win over `config`.
    """

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        config: ServerConfig | None = None,
        *,
        prefix: str | None = None,
        wire: str | None = None,
        **options: Any,
    ) -> None:
        refuse_unknown(ServerConfig, options, "the server")
        self._connection, self._owns_connection = read_connection(url, prefix, wire)
        config = replace(config, **options) if config is not None else ServerConfig(**options)
        self.config = replace(config, codecs=config.codecs.on(self._connection.wire.codec))
        self._log: Log = log_for(self.config.logger, self.config.least_level, standard=SERVER_LOG)
        self._supervisor: Supervisor | None = None
        self._life: asyncio.Task[None] | None = None
        self._is_closed = False
        self._errands = Errands()
        self._probes = Probes(self.config.probes, self._log)

    def override(self, **options: Any) -> None:
        """Change options of `ServerConfig`, by name, before it is started.

        What `asyncq run --concurrency` and its kind do to a server that a module has made.

        Raises:
            AlreadyRunningError: It was started.
            ClosedError: It has left.
            ConfigError: An option is not known, or wrong.
        """
        if self._is_closed:
            raise ClosedError("the server")
        if self._life is not None:
            raise AlreadyRunningError("the server")
        refuse_unknown(ServerConfig, options, "the server")
        config = replace(self.config, **options)
        self.config = replace(config, codecs=config.codecs.on(self._connection.wire.codec))
        self._log = log_for(self.config.logger, self.config.least_level, standard=SERVER_LOG)
        self._probes.move(self.config.probes)

    @property
    def id(self) -> str:
        """The id under which tools show this server; new with each start.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It has left.
        """
        return self._running().server_id

    def run(self, mux: Mux) -> None:
        """Serve until SIGTERM or SIGINT, and leave in order.

        The first signal stops fetching and lets running tasks finish for `shutdown_timeout`
        seconds; a second one puts them back at once. SIGTSTP stops fetching only, and SIGCONT takes
        that back.

        Raises:
            AlreadyRunningError: It runs already, or is called inside an event loop.
            BrokerError: Redis cannot be used; the text says why and what to try.
        """
        run_alone(lambda: self._run(mux), instead="await server.serve(mux)")

    async def _run(self, mux: Mux) -> None:
        with handled(_Orders(self, self._errands).by_signal):
            await self.serve(mux)
            await self._errands.finish()

    async def serve(self, mux: Mux) -> None:
        """Serve until `shutdown` is called. Cancelling it leaves in order, too, and then goes on."""
        await self.start(mux)
        await self.wait()

    @asynccontextmanager
    async def running(self, mux: Mux) -> AsyncGenerator[Server]:
        """Serve for the length of a block."""
        await self.start(mux)
        try:
            yield self
        finally:
            await self.shutdown()

    async def start(self, mux: Mux) -> None:
        """Begin to serve, and return when tasks are being taken, or when it was told to leave before that.

        Raises:
            AlreadyRunningError: It runs already.
            ClosedError: It was shut down; make a new one.
            BrokerError: Redis cannot be used.
            BaseException: What its `lifespan` raised when it was entered.
        """
        if self._is_closed:
            raise ClosedError("the server")
        if self._life is not None:
            raise AlreadyRunningError("the server")
        if not isinstance(mux, Mux):
            raise ConfigError("mux", mux, "a Mux; mux.handle(type)(function) puts a function into one")
        supervisor = self._supervisor = Supervisor(
            self._connection.router(), self._connection.wire, self.config, mux, log=self._log
        )
        life = self._life = self._errands.start(self._live(supervisor), name="server")
        started = self._errands.start(supervisor.started.wait(), name="start")
        try:
            await asyncio.wait([life, started], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # It has hardly begun: whatever it is waiting for, a Redis that is away say, is not worth it.
            supervisor.leave(now=True)
            if not life.cancelling():
                life.cancel()
            await self._finish(life, supervisor)
            self._is_closed = True
            raise
        finally:
            started.cancel()
        if life.done():
            self._is_closed = True
            if life.cancelled() or life.exception() is not None:
                self._life = self._supervisor = None
                life.result()

    async def _live(self, supervisor: Supervisor) -> None:
        config = self.config
        observer = Observer(supervisor, concurrency=config.concurrency, ready_within=config.ready_within)
        try:
            async with self._probes.open(self._connection.router, observer.condition, supervisor._break):
                await supervisor.run()
        finally:
            if self._owns_connection:
                await self._connection.aclose()

    async def wait(self) -> None:
        """Wait until the server has left.

        Raises:
            NotStartedError: It was not started yet, or could not be.
            BaseException: What broke it, if something did.
        """
        life, supervisor = self._life, self._supervisor
        if life is None or supervisor is None:
            raise NotStartedError("the server")
        try:
            await asyncio.shield(life)
        except asyncio.CancelledError:
            if life.cancelled():
                raise
            # Draining goes on although our waiter is cancelled: what runs must be settled or put back.
            supervisor.leave()
            await self._finish(life, supervisor)
            raise
        finally:
            if life.done():
                self._is_closed = True

    async def stop(self) -> None:
        """Take no more tasks, until `resume`. What runs goes on, and so does everything else.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It has left.
        """
        await self._running().stop_fetching()

    async def resume(self) -> None:
        """Take tasks again after `stop`. Does nothing when it was not stopped.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It is leaving, or has left.
        """
        self._running().resume_fetching()

    def measures(self) -> ServerMeasures:
        """What this server did since it started, and what it does now.

        Counted in its memory, so it costs Redis nothing; numbers of all servers, over time, are with
        `Inspector.measures`.

        Raises:
            NotStartedError: It was not started yet.
            ClosedError: It has left.
        """
        return self._running().measured()

    async def ping(self) -> Pong:
        """Look whether Redis is there and fit for tasks. Also before the server is started.

        Raises:
            ClosedError: It has left.
            BrokerError: It is not; the text says what is wrong and what to try.
        """
        if self._is_closed or (self._life is not None and self._life.done()):
            raise ClosedError("the server")
        if self._life is not None or not self._owns_connection:
            return await check(self._connection.router(), patience=0.0)
        return await check_once(self._connection.options)

    async def shutdown(self, *, now: bool = False) -> None:
        """Finish and leave. Does nothing when it does not run.

        Args:
            now: Do not let running tasks finish; put them back.
        """
        if self._life is None or self._supervisor is None:
            return
        self._supervisor.leave(now=now)
        await self.wait()

    def _running(self) -> Supervisor:
        if self._is_closed or (self._life is not None and self._life.done()):
            raise ClosedError("the server")
        if self._supervisor is None or self._life is None:
            raise NotStartedError("the server")
        return self._supervisor

    async def _finish(self, life: asyncio.Task[None], supervisor: Supervisor) -> None:
        """Wait for the end of a life; a further cancellation makes it shorter, not incomplete."""
        while not life.done():
            try:
                await asyncio.wait([life])
            except asyncio.CancelledError:
                supervisor.leave(now=True)
        if not life.cancelled() and (error := life.exception()) is not None:
            self._log.error(
                "the server ended with an error: %s", error, exc_info=error, extra={"event": "ended_badly"}
            )


class _Orders:
    """What signals ask of a server that owns its process."""

    def __init__(self, server: Server, errands: Errands) -> None:
        self._server = server
        self._errands = errands
        self._is_leaving = False
        self._is_stopped = False
        self.by_signal: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self._leave,
            signal.SIGINT: self._leave,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._resume,
        }

    def _leave(self) -> None:
        supervisor = self._server._supervisor
        if supervisor is not None:
            supervisor.leave(now=self._is_leaving)
            self._say("asked to leave, again: now" if self._is_leaving else "asked to leave")
            self._is_leaving = True

    def _stop(self) -> None:
        if not (self._is_leaving or self._is_stopped):
            self._is_stopped = True
            self._say("asked to take no more tasks")
            self._errands.start(self._server.stop(), name="stop")

    def _resume(self) -> None:
        # It also comes to a process that was frozen, and then it is none of our business.
        if self._is_stopped and not self._is_leaving:
            self._is_stopped = False
            self._say("asked to take tasks again")
            self._errands.start(self._server.resume(), name="resume")

    def _say(self, what: str) -> None:
        self._server._log.info(what, extra={"event": "signal"})
