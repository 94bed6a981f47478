"""The inspector's room for tasks."""

from __future__ import annotations

import builtins
import math
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Unpack

from asyncq._broker.actions import ALLOWED, Action, Terms
from asyncq._clock import seconds, unix
from asyncq._wire.states import State
from asyncq.errors import ConfigError
from asyncq.inspector.acting import act, act_on_one
from asyncq.inspector.bulk import Bulk, BulkOptions, BulkReport, read_options
from asyncq.inspector.cancel_sweep import CANCELLABLE, CancelSweep
from asyncq.inspector.cancelling import CancelAnswer, cancel
from asyncq.inspector.editing import Editing, TaskChanges
from asyncq.inspector.enqueueing import Outcome, enqueue, enqueue_many
from asyncq.inspector.listing import (
    PAGE_SIZE,
    SCAN,
    StateName,
    TaskFilters,
    TaskPage,
    info_of,
    read_page,
    read_place,
    read_query,
    read_state,
)
from asyncq.inspector.reach import Reach
from asyncq.inspector.sweeping import sweep
from asyncq.options import TaskOptions, is_text
from asyncq.task import Task
from asyncq.task_info import TaskInfo

_ITERATED: Final = 200


class Tasks:
    """The tasks of queues: looking at them, and doing something to one, to some, or to all of a kind."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Final = reach

    async def get(self, queue: str, task_id: str) -> TaskInfo:
        """Everything about one task at this moment.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task, or no longer: tasks without retention are
                forgotten when they succeed.
            WireError: Its message cannot be read.
        """
        self._reach.see(queue)
        seen = await self._reach.broker().browse.look(queue, task_id)
        if seen is None:
            await self._reach.refuse_missing(queue, task_id)
        return info_of(queue, seen, self._reach)

    async def list(  # noqa: PLR0913 - each is a thing a caller wants to say
        self,
        queue: str,
        state: State | StateName,
        *,
        size: int = PAGE_SIZE,
        page: int | None = None,
        cursor: str | None = None,
        newest_first: bool = False,
        scan: int = SCAN,
        **filters: Unpack[TaskFilters],
    ) -> TaskPage:
        """A page of the tasks in one state.

        Pending tasks come in the order in which they will be taken, others by the time that their state is
        about, the earliest first: when they are due, when their lease ends, when they were archived, when
        their retention ends, when they joined their group. A page costs the same wherever it is and
        however many there are.

        A filter looks at `scan` tasks for one page and no more, so a page may have few tasks or none and a
        cursor for the next. So it is with large tasks: a page ends after 32 MiB of them, unless it has a
        number.

        Args:
            queue: Name of the queue.
            state: The state.
            size: Tasks on a page, up to 1,000.
            page: Number of the page, from 1. Without filters, or with `since` and `until` alone in a state
                that is ordered by time.
            cursor: Of the page before, to go on after it. Tasks that come and go meanwhile do not shift it.
            newest_first: The other way round.
            scan: Tasks that are looked at for one page at the most.
            **filters: Which tasks; see `TaskFilters`.

        Raises:
            ConfigError: Something is wrong with what was asked for.
            QueueNotFoundError: No task was ever put into such a queue.
            GroupNotFoundError: No task waits in such a group.
        """
        self._reach.see(queue)
        place = read_place(queue, read_state(state), filters)
        return await read_page(
            self._reach,
            read_query(place, size=size, page=page, cursor=cursor, scan=scan, newest_first=newest_first),
        )

    async def iterate(
        self,
        queue: str,
        state: State | StateName,
        *,
        newest_first: bool = False,
        **filters: Unpack[TaskFilters],
    ) -> AsyncIterator[TaskInfo]:
        """All tasks in one state, one after the other. Reads a page at a time, so memory is bounded.

        What moves meanwhile may be left out or come twice. Arguments and errors as of `list`.
        """
        cursor: str | None = None
        while True:
            page = await self.list(
                queue, state, size=_ITERATED, cursor=cursor, newest_first=newest_first, **filters
            )
            for info in page.tasks:
                yield info
            cursor = page.cursor
            if cursor is None:
                return

    async def run(self, queue: str, task_id: str, *, fresh: bool = False) -> None:
        """Let a task run now: to the back of the pending ones. From every state but pending and active.

        Args:
            queue: Name of the queue.
            task_id: Id of the task.
            fresh: With all its retries again. Otherwise it keeps its count, so a task that was archived
                with its retries used up is tried once.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is pending, active, or being aggregated.
        """
        async with self._reach.change("tasks.run", queue, task_id):
            await act_on_one(self._reach, queue, task_id, Terms(action="run", fresh=fresh))

    async def archive(self, queue: str, task_id: str) -> None:
        """Put a task away, with the reason `requested`. From pending, scheduled, retry and aggregating.

        To find a pending task takes Redis time in proportion to the length of the queue: about 10 ms for a
        million tasks.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is in another state.
        """
        async with self._reach.change("tasks.archive", queue, task_id):
            await act_on_one(self._reach, queue, task_id, Terms(action="archive"))

    async def delete(self, queue: str, task_id: str) -> None:
        """Delete a task, and release its unique lock. From every state but active.

        As `archive` for a pending task.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is active, or being aggregated.
        """
        async with self._reach.change("tasks.delete", queue, task_id):
            await act_on_one(self._reach, queue, task_id, Terms(action="delete"))

    async def apply(self, action: Action, queue: str, task_ids: Iterable[str]) -> dict[str, str]:
        """Run, archive or delete the tasks with these ids, each if its state allows it.

        Returns:
            A word for each: `done`, `missing`, `gathered` (it is being aggregated), or the state that does
            not allow it.

        Raises:
            ConfigError: There is no such action, or what should be ids is not.
        """
        if action not in ALLOWED:
            raise ConfigError("action", action, "run, archive or delete")
        ids = list(dict.fromkeys(task_ids))
        if isinstance(task_ids, str) or not all(is_text(task_id) for task_id in ids):
            raise ConfigError("task_ids", task_ids, "ids of tasks")
        right, target = f"task.{action}", f"{len(ids):,} tasks: {' '.join(ids)}"
        async with self._reach.change("tasks.apply", queue, target, right=right, is_bulk=True) as change:
            words = await act(self._reach, queue, ids, Terms(action=action))
            change.count = [*words.values()].count("done")
            if words and set(words.values()) == {"missing"}:
                await self._reach.refuse_unknown(queue)
        return words

    async def run_all(
        self,
        queue: str,
        state: State | StateName,
        *,
        fresh: bool = False,
        **options: Unpack[BulkOptions],
    ) -> BulkReport:
        """Let all tasks in one state run, or all that pass the filters.

        Works in chunks, so that Redis serves others in between, and on what is there when it begins: what
        comes later is left alone, so it ends. It may be cancelled at any time: what was done is done,
        and nothing is done by half.

        Args:
            queue: Name of the queue.
            state: scheduled, retry, archived, completed or aggregating.
            fresh: With all their retries again.
            **options: `rate`, `limit`, `dry_run` and `on_progress` (see `BulkOptions`), and which tasks (see
                `TaskFilters`).

        Raises:
            ConfigError: Something is wrong with what was asked for.
            QueueNotFoundError: No task was ever put into such a queue.
            GroupNotFoundError: No task waits in such a group.
        """
        return await self._all("run", queue, state, options, fresh=fresh)

    async def archive_all(
        self, queue: str, state: State | StateName, **options: Unpack[BulkOptions]
    ) -> BulkReport:
        """Put all tasks in one state away: pending, scheduled, retry or aggregating. As `run_all`."""
        return await self._all("archive", queue, state, options)

    async def delete_all(
        self, queue: str, state: State | StateName, **options: Unpack[BulkOptions]
    ) -> BulkReport:
        """Delete all tasks in one state, which may be any but active. As `run_all`."""
        return await self._all("delete", queue, state, options)

    async def cancel_all(
        self, queue: str, state: State | StateName, **options: Unpack[BulkOptions]
    ) -> BulkReport:
        """Cancel all tasks in one state, each as by `cancel`, which may be active or any that waits.

        One that runs counts as done when its server was asked to stop it. Else as `run_all`.
        """
        manner, filters = read_options(options)
        place = read_place(queue, read_state(state, CANCELLABLE), filters)
        work = partial(CancelSweep, self._reach, place)
        return await sweep(self._reach, "tasks.cancel_all", place, manner, work)

    async def edit(
        self, queue: str, task_id: str, *, version: str | None = None, **changes: Unpack[TaskChanges]
    ) -> TaskInfo:
        """Change a task that waits, in one step: a server takes it as it was or as it is then.

        For pending, scheduled, retry, archived and aggregating tasks. The lock of a unique task moves with
        its payload. The payload is written with the codec that the task had.

        Args:
            queue: Name of the queue.
            task_id: Id of the task.
            version: `TaskInfo.version` of what you have seen: if the task is another by now, nothing is
                changed. Without it, the change is made to whatever the task is by now.
            **changes: What to change; see `TaskChanges`.

        Returns:
            The task as it is now; as it was written, where it has run since and was forgotten.

        Raises:
            ConfigError: Something is wrong with the changes.
            PayloadError: The payload cannot be encoded, or is too large.
            TaskChangedError: It is not what it was when you looked.
            DuplicateTaskError: It is unique, and there is another task with that payload.
            TaskStateError: It is active or completed, or being aggregated.
            TaskNotFoundError: There is no such task.
            QueueNotFoundError: No task was ever put into such a queue.
            WireError: Its message cannot be read.
        """
        async with self._reach.change("tasks.edit", queue, task_id) as change:
            return await Editing(self._reach, queue, task_id, version, change).edit(changes)

    async def reschedule(
        self,
        queue: str,
        task_id: str,
        *,
        at: datetime | None = None,
        delay: float | timedelta | None = None,
        version: str | None = None,
    ) -> TaskInfo:
        """Change when a task runs. For pending, scheduled, retry and archived tasks.

        A retry task stays one, others are scheduled then. The lock of a unique task is prolonged with it.

        Args:
            queue: Name of the queue.
            task_id: Id of the task.
            at: The instant. One in the past is now.
            delay: Or so long from now.
            version: As for `edit`.

        Returns:
            The task as it is now; as it was written, where it has run since and was forgotten.

        Raises:
            ConfigError: Neither or both were given, or the task would be too late then.
            TaskChangedError: It is not what it was when you looked.
            TaskStateError: It is active, completed or aggregating.
            TaskNotFoundError: There is no such task.
            QueueNotFoundError: No task was ever put into such a queue.
        """
        if (at is None) == (delay is None):
            raise ConfigError("at", at, "at or delay, one of the two")
        moment = None if at is None else max(unix(at, name="at"), 1.0)
        waits = None if delay is None else seconds(delay, name="delay")
        if waits is not None and not math.isfinite(waits):
            raise ConfigError("delay", delay, "a number of seconds that ends")
        async with self._reach.change("tasks.reschedule", queue, task_id) as change:
            return await Editing(self._reach, queue, task_id, version, change).reschedule(moment, waits)

    async def _all(
        self,
        action: Action,
        queue: str,
        state: State | StateName,
        options: BulkOptions,
        *,
        fresh: bool = False,
    ) -> BulkReport:
        manner, filters = read_options(options)
        place = read_place(queue, read_state(state, ALLOWED[action]), filters)
        work = partial(Bulk, self._reach, place, action, fresh=fresh)
        return await sweep(self._reach, f"tasks.{action}_all", place, manner, work, fresh=fresh)

    async def cancel(
        self, queue: str, task_id: str, *, wait: float | timedelta | None = None
    ) -> CancelAnswer:
        """Cancel a task: it does not run, or no longer, and is archived with the reason `cancelled`.

        One that waits is archived at once. One that runs is stopped by its server: a coroutine is
        cancelled, a thread is told (`ctx.is_cancelled`), a process is killed. The wish is sent as a
        message, and found by the server at the next extension of the lease when the message was missed.
        It is bound to this one delivery, and is its end: the task succeeds before it is stopped, or is
        archived, also when its server leaves or dies meanwhile. A cancelled task gives up its unique lock.

        Args:
            queue: Its queue.
            task_id: Its id.
            wait: Seconds to wait until a task that runs has ended.

        Returns:
            What happened: `cancelled` if it is archived now; `requested` if it runs and its server was
            asked to stop it, with `wait` if it had not ended in that time. Nothing was done where it was
            over already, `completed` or `archived`; with `wait` also where it came to that end before it
            was stopped, or where it is `gone` since nothing was kept of it. `aggregating` if it is being
            made part of another task at this moment. `active` if it says that it runs and not where:
            damage, which ends with its lease.

        Raises:
            QueueNotFoundError: No task was ever put into such a queue.
            TaskNotFoundError: There is no such task.
        """
        limit = 0.0 if wait is None else seconds(wait, name="wait")
        async with self._reach.change("tasks.cancel", queue, task_id) as change:
            change.remark = answer = await cancel(self._reach, queue, task_id, limit)
            return answer

    async def enqueue(self, task: Task, **options: Unpack[TaskOptions]) -> TaskInfo:
        """Put a task into its queue, by hand. As `Client.enqueue`, without defaults and middleware.

        Raises:
            ConfigError: An option or the payload is wrong; nothing was sent.
            DuplicateTaskError: It is unique, and another one holds the lock.
            TaskIdConflictError: There is a task with this id.
        """
        return await enqueue(self._reach, task, options)

    async def enqueue_many(
        self, tasks: Iterable[Task], *, on_progress: Callable[[int], None] | None = None
    ) -> builtins.list[Outcome]:
        """Put any number of tasks into their queues: one change, with an outcome for each task, in order.

        Args:
            tasks: All of them are read and checked before the first is sent.
            on_progress: Called after each chunk, with how many are enqueued.

        Raises:
            ConfigError: One of them is wrong; nothing was sent.
            BrokerUnavailableError: Redis was not reached in time. What was told to `on_progress` is there.
        """
        return await enqueue_many(self._reach, tasks, on_progress)
