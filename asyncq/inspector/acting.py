"""Running, archiving and deleting tasks by their ids."""

from __future__ import annotations

from collections.abc import Sequence

from asyncq._broker.actions import ALLOWED, CHUNK, Terms
from asyncq.errors import BrokerReplyError
from asyncq.inspector.editing import refuse_state
from asyncq.inspector.reach import Reach


async def act(reach: Reach, queue: str, ids: Sequence[str], terms: Terms) -> dict[str, str]:
    """Act upon some tasks, and return a word for each: `done`, `missing`, or why not."""
    sender = reach.broker().actions.sender(queue)
    words: dict[str, str] = {}
    for start in range(0, len(ids), CHUNK):
        part: list[str] = [*ids[start : start + CHUNK]]
        while part:
            words.update(zip(part, await sender.act(part, terms), strict=True))
            part = [task_id for task_id in part if words[task_id] == "later"]
    return words


async def act_on_one(reach: Reach, queue: str, task_id: str, terms: Terms) -> None:
    """Act upon one task.

    Raises:
        QueueNotFoundError: No task was ever put into such a queue.
        TaskNotFoundError: There is no such task.
        TaskStateError: Its state does not allow it.
    """
    word = (await act(reach, queue, [task_id], terms))[task_id]
    if word == "done":
        return
    if word == "missing":
        await reach.refuse_missing(queue, task_id)
    refuse_state(queue, task_id, word, ALLOWED[terms.action])
    raise BrokerReplyError("act", word)
