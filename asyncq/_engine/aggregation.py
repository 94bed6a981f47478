"""Calls a user's aggregator, whatever kind of function it is, and judges what it answers."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from asyncq._compose import compose
from asyncq._engine.outcome import from_handler
from asyncq._handlers import is_async
from asyncq._wire.messages import NewTask
from asyncq.codecs import Codecs
from asyncq.config import GroupAggregator
from asyncq.errors import ConfigError, HandlerCrashedError
from asyncq.task import Task

TIME_LIMIT: Final = 120.0
"""Seconds that an aggregator may take, as in asynq."""


class Aggregation:
    """A user's aggregator.

    `async def` runs on the loop, anything else in a thread. One that takes too long is given up; a
    thread cannot be stopped, so it keeps its place until it ends.
    """

    def __init__(
        self, function: GroupAggregator, codecs: Codecs, *, at_once: int, time_limit: float = TIME_LIMIT
    ) -> None:
        self._function: Final = function
        self._codecs: Final = codecs
        self._time_limit: Final = time_limit
        self.turn: Final = asyncio.Semaphore(at_once)
        self._limiter: Final = anyio.CapacityLimiter(at_once)

    async def ask(self, queue: str, group: str, tasks: list[Task]) -> NewTask:
        """Have one task made of many, ready to be written.

        Raises:
            Exception: What the function raised, or a `ConfigError` about what it returned.
        """
        async with asyncio.timeout(self._time_limit):
            answer = await self._call(group, tasks)
        if not isinstance(answer, Task):
            raise ConfigError("what the group_aggregator returned", answer, "a Task")
        new = compose(answer, codecs=self._codecs, defaults={"queue": queue})
        if (new.queue, new.envelope.group) == (queue, group):
            expected = "no task for the group that it was made of, or it would be aggregated for ever"
            raise ConfigError("what the group_aggregator returned", answer, expected)
        return new

    async def _call(self, group: str, tasks: list[Task]) -> object:
        try:
            if is_async(self._function):
                answer: object = self._function(group, tasks)
            else:
                call = partial(self._function, group, tasks)
                answer = await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)
            return await answer if inspect.isawaitable(answer) else answer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise HandlerCrashedError("the aggregator cancelled itself") from error
        except BaseException as error:  # noqa: BLE001 - passed on
            # What is no `Exception`, such as SystemExit, would end the event loop.
            raise from_handler(error) from error.__cause__
