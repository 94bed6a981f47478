"""A thread for what must go on when a handler blocks the event loop: leases and the heartbeat."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from asyncq._engine.measures import Recorder
from asyncq._logs import SERVER_LOG, Log
from asyncq._service import OnBroken, Service, running

LOOK_EVERY: Final = 1.0


class Vitals:
    """Runs services in a thread with an event loop of its own, and watches the main loop from there."""

    def __init__(
        self,
        make: Callable[[], tuple[list[Service], Callable[[], Awaitable[None]]]],
        measures: Recorder,
        *,
        on_broken: OnBroken,
        describe_work: Callable[[], str],
        log: Log = SERVER_LOG,
    ) -> None:
        self._make: Final = make
        self._measures: Final = measures
        self._on_broken: Final = on_broken
        self._describe_work: Final = describe_work
        self._log: Final = log
        self._main: Final = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started: Future[None] = Future()
        self._is_ending = False
        self._turned_at = 0.0
        self._is_stalled = False
        self._stalled_since = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Vitals]:
        """Run the thread for the length of a block."""
        self._thread = threading.Thread(target=self._run, name="asyncq-vitals", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(asyncio.wrap_future(self._started))
            yield self
        finally:
            await self._end(self._thread)

    async def _end(self, thread: threading.Thread) -> None:
        """End the thread, wherever it is, and wait for it. A cancellation goes on when that is done."""
        self._is_ending = True
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        joined = self._main.run_in_executor(None, thread.join)
        cancelled: asyncio.CancelledError | None = None
        while not joined.done():
            try:
                await asyncio.shield(joined)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the thread must not die in silence
            if not self._started.done():
                self._started.set_exception(error)
            else:
                self._log.exception("the lease keeper's thread failed", extra={"event": "vitals_failed"})
                self._report_broken(error)

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._is_ending:
            self._stopping.set()
        services, aclose = self._make()
        try:
            await self._serve_all(services, self._stopping)
        finally:
            await aclose()

    async def _serve_all(self, services: list[Service], stopping: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            for service in services:
                await stack.enter_async_context(running(service, self._report_broken, self._log))
            self._started.set_result(None)
            await self._watch(stopping)

    def _report_broken(self, error: BaseException) -> None:
        self._main.call_soon_threadsafe(self._on_broken, error)

    async def _watch(self, stopping: asyncio.Event) -> None:
        """Wait for the end, and look whether the main loop still turns."""
        while not stopping.is_set():
            asked_at = time.monotonic()
            self._main.call_soon_threadsafe(self._turned, asked_at)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await stopping.wait()
            except TimeoutError:
                self._judge(asked_at)

    def _turned(self, asked_at: float) -> None:
        self._turned_at = time.monotonic()
        self._measures.loop_lag = self._turned_at - asked_at

    def _judge(self, asked_at: float) -> None:
        if self._turned_at < asked_at:
            blocked_for = time.monotonic() - (self._turned_at or asked_at)
            self._measures.loop_lag = blocked_for
            if not self._is_stalled:
                self._is_stalled = True
                self._measures.stalls += 1
                self._stalled_since = self._turned_at or asked_at
                self._log.error(
                    "the event loop has been blocked for %.1f s; in it run: %s",
                    blocked_for,
                    self._describe_work(),
                    extra={"event": "loop_blocked", "seconds": blocked_for},
                )
        elif self._is_stalled:
            self._is_stalled = False
            self._measures.stalled_seconds += self._turned_at - self._stalled_since
            self._log.warning("the event loop turns again", extra={"event": "loop_unblocked"})
