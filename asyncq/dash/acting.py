"""What can be done to what is shown. Whether somebody may, the inspector says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncq.dash.rows import Action
from asyncq.dash.texts import clean, counted, lines
from asyncq.errors import AsyncqError, BrokerError
from asyncq.inspector import Inspector


async def _run(inspector: Inspector, task: Any) -> str:
    await inspector.tasks.run(task.queue, task.id)
    return "runs now"


async def _archive(inspector: Inspector, task: Any) -> str:
    await inspector.tasks.archive(task.queue, task.id)
    return "archived"


async def _delete(inspector: Inspector, task: Any) -> str:
    await inspector.tasks.delete(task.queue, task.id)
    return "deleted"


async def _cancel(inspector: Inspector, task: Any) -> str:
    answer = await inspector.tasks.cancel(task.queue, task.id)
    return {"requested": "told to stop"}.get(answer, str(answer))


async def _cancel_work(inspector: Inspector, worker: Any) -> str:
    answer = await inspector.tasks.cancel(worker.queue, worker.task_id)
    return {"requested": "told to stop"}.get(answer, str(answer))


async def _pause_queue(inspector: Inspector, queue: Any) -> str:
    if queue.is_paused:
        await inspector.queues.unpause(queue.name)
        return "goes on"
    await inspector.queues.pause(queue.name)
    return "paused"


async def _remove_queue(inspector: Inspector, queue: Any) -> str:
    count = await inspector.queues.remove(queue.name, force=True)
    return f"removed with {count:,} tasks"


async def _pause_entry(inspector: Inspector, entry: Any) -> str:
    if entry.is_paused:
        await inspector.schedulers.resume(entry.id)
        return "goes on"
    await inspector.schedulers.pause(entry.id)
    return "paused"


async def _run_entry(inspector: Inspector, entry: Any) -> str:
    info = await inspector.schedulers.run_now(entry.id)
    return f"enqueued as {info.id}"


async def _remove_entry(inspector: Inspector, entry: Any) -> str:
    await inspector.schedulers.remove(entry.id)
    return "removed"


RUN: Final = Action("r", "run", _run)
ARCHIVE: Final = Action("A", "archive", _archive, is_dangerous=True)
DELETE: Final = Action("D", "delete", _delete, is_dangerous=True)
CANCEL: Final = Action("C", "cancel", _cancel, is_dangerous=True)

OF_TASKS: Final = {
    "pending": (ARCHIVE, DELETE, CANCEL),
    "active": (CANCEL,),
    "scheduled": (RUN, ARCHIVE, DELETE, CANCEL),
    "retry": (RUN, ARCHIVE, DELETE, CANCEL),
    "archived": (RUN, DELETE),
    "completed": (RUN, DELETE),
    "aggregating": (RUN, ARCHIVE, DELETE, CANCEL),
}
OF_FOUND: Final = (RUN, ARCHIVE, DELETE, CANCEL)
"""Of tasks in any state: where one is in a wrong one, the inspector says in which it would have to be."""

OF_WORKERS: Final = (Action("C", "cancel", _cancel_work, is_dangerous=True),)
OF_QUEUES: Final = (
    Action("p", "pause or resume", _pause_queue),
    Action("X", "remove", _remove_queue, is_dangerous=True, must_type=lambda queue: str(queue.name)),
)
OF_ENTRIES: Final = (
    Action("p", "pause or resume", _pause_entry),
    Action("r", "run", _run_entry),
    Action("X", "remove", _remove_entry, is_dangerous=True),
)


def name_of(subject: Any) -> str:
    """What something is called, in questions and answers."""
    for attribute in ("task_id", "id", "name"):
        if name := getattr(subject, attribute, ""):
            return str(name)
    return "this"


async def do_each(
    action: Action, inspector: Inspector, subjects: Sequence[Any], tell: Callable[..., None]
) -> None:
    """Do something to each of these.

    Args:
        action: What.
        inspector: Whose rights hold.
        subjects: To what.
        tell: Says what came of it, as `notify` of a screen does.
    """
    done = 0
    for subject in subjects:
        try:
            word = await action.do(inspector, subject)
        except AsyncqError as error:
            tell(lines(str(error)), title=action.name, severity="error", markup=False)
            if isinstance(error, BrokerError):
                break  # the others would fare no better
        else:
            done += 1
            if len(subjects) == 1:
                tell(f"{clean(name_of(subject))}: {word}", markup=False)
    if len(subjects) > 1:
        tell(f"{action.name}: {done} of {counted(len(subjects), 'line')}", markup=False)
