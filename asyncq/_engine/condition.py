"""How a server is, for the probes of an orchestrator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from asyncq._engine.supervisor import Supervisor
from asyncq._probes import Condition
from asyncq.errors import AsyncqError, PartlyUnavailableError


@dataclass(frozen=True, slots=True)
class Signs:
    """What can be seen of a server from outside its actors."""

    status: str
    trouble: AsyncqError | None  #: with Redis
    silent_for: float  #: seconds without an answer to a question for work, while there was a free slot
    active: int
    stuck: int  #: handlers that were told to stop, and did not
    concurrency: int


def judge(signs: Signs, *, ready_within: float) -> Condition:
    """What follows from the signs.

    Not being asked for work is no fault of a server: with all slots taken it has nothing to ask for, and
    one that is stopped or leaving was told so. But when Redis answers and the question for work does not
    come back, or all slots are held by handlers that do not end, nothing but a restart helps.
    """
    obstacles: list[str] = []
    faults: list[str] = []
    remarks: list[str] = []
    is_partly = isinstance(signs.trouble, PartlyUnavailableError)
    if is_partly:
        remarks.append(f"a part of Redis is away: {signs.trouble}")
    elif signs.trouble is not None:
        obstacles.append(f"Redis does not answer: {signs.trouble}")
    if signs.status == "starting":
        obstacles.append("it is starting")
    elif signs.status == "stopped":
        obstacles.append("it was told to take no more tasks")
    elif signs.status == "leaving":
        obstacles.append("it is leaving: it takes no more tasks")
    elif signs.silent_for > ready_within:
        text = f"it asked for tasks, and had no answer for {signs.silent_for:.0f} s"
        (obstacles if signs.trouble is not None else faults).append(
            text if signs.trouble is not None else f"{text}, though Redis is there"
        )
    if signs.stuck >= signs.concurrency:
        faults.append(f"all {signs.concurrency} slots are held by handlers that were told to stop and do not")
    elif signs.stuck:
        held = "a handler that was" if signs.stuck == 1 else "handlers that were"
        remarks.append(
            f"{signs.stuck} of {signs.concurrency} slots are held by {held} told to stop and did not"
        )
    facts = {
        "active": signs.active,
        "concurrency": signs.concurrency,
        "silent_for": round(signs.silent_for, 3),
        "redis": "ok" if signs.trouble is None else "partly away" if is_partly else "away",
    }
    return Condition(signs.status, tuple(obstacles), tuple(faults), tuple(remarks), facts)


class Observer:
    """Looks at one life of a server.

    Args:
        supervisor: The life.
        concurrency: How many slots there are.
        ready_within: Seconds that an answer to the question for work may take.
    """

    def __init__(self, supervisor: Supervisor, *, concurrency: int, ready_within: float) -> None:
        self._supervisor: Final = supervisor
        self._concurrency: Final = concurrency
        self._ready_within: Final = ready_within
        self._loop: Final = asyncio.get_running_loop()
        self._full_at = self._loop.time()

    def condition(self, trouble: AsyncqError | None) -> Condition:
        """How it is now."""
        supervisor, now = self._supervisor, self._loop.time()
        executor, fetcher = supervisor.executor, supervisor.fetcher
        if executor is None or fetcher is None or executor.free <= 0:
            # Without a free slot it does not ask. The silence counts from when there was one again.
            self._full_at = now
        answered_at = self._full_at if fetcher is None else max(self._full_at, fetcher.last_answer_at)
        return judge(
            Signs(
                status=supervisor._status,
                trouble=trouble,
                silent_for=max(0.0, now - answered_at),
                active=0 if executor is None else len(executor.active),
                stuck=0 if executor is None else executor.stuck,
                concurrency=self._concurrency,
            ),
            ready_within=self._ready_within,
        )
