"""Enqueues the task of one time of an entry, if no other scheduler has done so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncq._broker.enqueue import Placed, Send
from asyncq._enqueue_middleware import EnqueueMiddleware, wrapped
from asyncq._wire.messages import Claim, NewTask
from asyncq.errors import EnqueueRefusedError, TaskIdConflictError
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

ENQUEUED: Final = "enqueued"
_NO_TASK: Final = ("taken", "behind", "fenced", "overlap", "queued")
_MORE: Final = "+"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one time."""

    word: str  #: enqueued | taken | behind | fenced | overlap | queued (enqueue.lua)
    info: TaskInfo | None = None  #: of one that was enqueued
    asks_for_more: bool = False  #: whether Redis remembers something that is left to be done


class ClockAheadError(EnqueueRefusedError):
    """The clock of this machine is wrong: a time is refused that has not come."""


class _NoTaskError(TaskIdConflictError):
    """Nothing was enqueued, and for a good reason. Middleware is told what it would be told by a client."""


class Claimant:
    """Claims a time and enqueues its task, both in one step.

    Args:
        compose: Makes what is to be written.
        submit: Sends it.
        make: Makes what is sent of it, and returns what sends it.
        inform: What a client would be told, and the errors it would get.
        middleware: What to wrap around it.
        timeout: Seconds for all of it.
    """

    def __init__(
        self,
        compose: Callable[[Task, TaskOptions], NewTask],
        submit: Callable[[NewTask], Awaitable[Placed]],
        make: Callable[[NewTask], Send],
        inform: Callable[[NewTask, Placed], TaskInfo],
        middleware: Sequence[EnqueueMiddleware] = (),
        *,
        timeout: float,
    ) -> None:
        self._compose: Final = compose
        self._submit: Final = submit
        self._make: Final = make
        self._inform: Final = inform
        self._middleware: Final = list(middleware)
        self._timeout: Final = timeout

    async def __call__(self, task: Task, options: TaskOptions, claim: Claim) -> Answer:
        """Claim a time.

        Raises:
            EnqueueRefusedError: It is refused, as a client's would be, or our clock is wrong.
            BrokerError: As for a client.
            TimeoutError: It took too long; whether it was enqueued is not known.
            Exception: What middleware raised.
        """
        answers: list[Answer] = []

        async def enqueue(task: Task, options: TaskOptions) -> TaskInfo:
            new = self._compose(task, options)
            new.claim = claim
            answer = self.read(new, await self._submit(new))
            answers.append(answer)
            if answer.info is None:
                raise _NoTaskError(new.queue, new.id)
            return answer.info

        scope = asyncio.timeout(self._timeout)
        try:
            async with scope:
                info = await wrapped(self._middleware, enqueue)(task, options)
        except _NoTaskError:
            return answers[-1]
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimeoutError(f"no answer within {self._timeout:g} s: it may be enqueued") from None
        return Answer(ENQUEUED, info, bool(answers) and answers[-1].asks_for_more)

    def prepare(self, task: Task, options: TaskOptions) -> NewTask | None:
        """Make what is to be written before its time; `None` where middleware has a word.

        Raises:
            ConfigError: It cannot be made.
        """
        return None if self._middleware else self._compose(task, options)

    def make(self, new: NewTask) -> Send:
        """Make what is sent of it, and return what sends it."""
        return self._make(new)

    def read(self, new: NewTask, placed: Placed) -> Answer:
        """Say what an answer means.

        Raises:
            EnqueueRefusedError: It was refused.
            BrokerReplyError: It means nothing.
        """
        word, more = placed.word.rstrip(_MORE), placed.word.endswith(_MORE)
        claim = new.claim
        if claim is not None and word == "early":
            ahead = claim.nominal - placed.now
            raise ClockAheadError(f"the clock of this machine is {ahead:.0f} s ahead of that of Redis")
        # The id is that of the time, so a task that has it is the one that was to be enqueued.
        if claim is not None and word == "conflict" and new.id == claim.task_id:
            word = "taken"
        if word in _NO_TASK:
            return Answer(word, None, more)
        return Answer(ENQUEUED, self._inform(new, Placed(word, placed.now)), more)
