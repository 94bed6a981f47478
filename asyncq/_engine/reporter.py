"""Writes the progress and the results of running tasks."""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from asyncq._broker.notes import Notes
from asyncq._logs import SERVER_LOG, Log
from asyncq._service import Errands
from asyncq.context import Context
from asyncq.errors import AsyncqError
from asyncq.task_info import Progress

INTERVAL: Final = 0.25
"""Seconds between two writes of the progress of one task. A loop may report each of a million steps."""


class Reporter:
    """Takes reports from handlers, in whatever thread they run, and writes the latest of each."""

    def __init__(self, notes: Notes, log: Log = SERVER_LOG) -> None:
        self._notes: Final = notes
        self._log: Final = log
        self._loop: Final = asyncio.get_running_loop()
        self._thread: Final = threading.get_ident()
        self._latest: dict[str, tuple[Context, Progress]] = {}
        self._errands: Final = Errands()

    def progress(self, context: Context, value: Progress) -> None:
        """Keep a report until it is written; a later one takes its place."""
        self._latest[context.token] = (context, value)
        if threading.get_ident() == self._thread:
            self._begin()
        else:
            self._loop.call_soon_threadsafe(self._begin)

    async def result(self, context: Context, value: bytes) -> None:
        """Write a result now."""
        await self._notes.write(context.queue, context.id, context.token, field="result", value=value)

    def _begin(self) -> None:
        if not self._errands.are_under_way:
            self._errands.start(self._write(), name="progress")

    async def _write(self) -> None:
        while self._latest:
            latest, self._latest = self._latest, {}
            for context, progress in latest.values():
                await self._write_one(context, progress)
            await asyncio.sleep(INTERVAL)

    async def _write_one(self, context: Context, progress: Progress) -> None:
        value = progress.encode()
        try:
            await self._notes.write(context.queue, context.id, context.token, field="progress", value=value)
        except AsyncqError as error:
            # Progress is worth nothing once the task is over, and nothing to wait for Redis for.
            self._log.debug(
                "progress of %s not written: %s", context.id, error, extra={"event": "progress_dropped"}
            )

    async def aclose(self) -> None:
        """Stop writing."""
        await self._errands.cancel()
