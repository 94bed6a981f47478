"""Putting tasks into queues by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from asyncq._compose import compose, info_of
from asyncq._wire.messages import NewTask
from asyncq.errors import AsyncqError, ConfigError, EnqueueRefusedError, Problem
from asyncq.inspector.reach import Reach
from asyncq.options import TaskOptions
from asyncq.task import Task
from asyncq.task_info import TaskInfo

_CHUNK: Final = 500
_MOST_PROBLEMS: Final = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task of several."""

    task: Task
    info: TaskInfo | None  #: where it is, if it was enqueued
    error: AsyncqError | None  #: why it was not, if it was not

    @property
    def is_enqueued(self) -> bool:
        """Whether it is in Redis."""
        return self.info is not None


async def enqueue(reach: Reach, task: Task, options: TaskOptions) -> TaskInfo:
    """Put one task into its queue; `Tasks.enqueue` says more."""
    new = compose(task, options, codecs=reach.codecs)
    async with reach.change("tasks.enqueue", new.queue, new.id) as change:
        change.compare("type", "", new.envelope.type)
        placed = await reach.broker().enqueue.submit(new)
        return info_of(new, placed.word, placed.now, reach.codecs)._behind(reach.who.redact)


async def enqueue_many(
    reach: Reach, tasks: Iterable[Task], on_progress: Callable[[int], None] | None
) -> list[Outcome]:
    """Put any number of tasks into their queues; `Tasks.enqueue_many` says more."""
    given = [*tasks]
    composed = _composed(given, reach)
    queues = sorted({new.queue for new in composed})
    async with reach.change(
        "tasks.enqueue_many",
        queues[0] if len(queues) == 1 else None,
        _described(composed),
        is_bulk=True,
        queues=queues,
    ) as change:
        outcomes: list[Outcome] = []
        for start in range(0, len(given), _CHUNK):
            part = composed[start : start + _CHUNK]
            sent = [reach.broker().enqueue.submit(new) for new in part]
            for task, new, answer in zip(given[start:], part, sent, strict=False):
                try:
                    placed = await answer
                    info = info_of(new, placed.word, placed.now, reach.codecs)
                except EnqueueRefusedError as error:
                    outcomes.append(Outcome(task, None, error))
                else:
                    outcomes.append(Outcome(task, info._behind(reach.who.redact), None))
                    change.count = (change.count or 0) + 1
            if on_progress is not None:
                on_progress(change.count or 0)
        return outcomes


def _composed(tasks: list[Task], reach: Reach) -> list[NewTask]:
    composed: list[NewTask] = []
    problems: list[Problem] = []
    for number, task in enumerate(tasks):
        try:
            composed.append(compose(task, codecs=reach.codecs))
        except ConfigError as error:
            problems += [found._replace(option=f"task {number}: {found.option}") for found in error.problems]
        if len(problems) >= _MOST_PROBLEMS:
            break
    if problems:
        raise ConfigError.of(problems)
    return composed


def _described(composed: list[NewTask]) -> str:
    types = Counter(new.envelope.type for new in composed)
    return f"{len(composed):,} tasks: " + ", ".join(
        f"{count:,} {name}" for name, count in types.most_common()
    )
