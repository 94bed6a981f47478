"""Calls that are sent twice or come late, for the test of the broker against its model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from asyncq._broker import settle
from asyncq._redis.router import Call, Router

_QUEUE = "q"
SCRIPTS = (
    "enqueue",
    "deliver",
    "settle",
    "extend",
    "forward",
    "recover",
    "sweep",
    "annotate",
    "cancel",
    "act",
)
KINDS = (
    "plain", "plain", "delayed", "past", "unique", "unique delayed", "grouped", "grouped delayed", "chosen",
)  # fmt: skip
Echo = Literal["", "lost", "twice"]
_FORGETFUL = ("enqueue", "deliver", "settle", "act")


class EchoingRouter(Router):
    """Sends a call twice, as happens when an answer is lost; keeps calls that may come again much later."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.echo: Echo = ""
        self.ghosts: list[Call] = []
        self.quiet = asyncio.Event()

    def submit(self, call: Call) -> None:
        """Send a call as often as is wished."""
        if call.script is None:
            super().submit(call)
            return
        ghost = Call(
            self,
            call.script,
            call.args,
            slot=call.slot,
            patience=call.patience,
            on_value=lambda _: None,
            on_failure=lambda _: None,
        )
        if self.echo == "lost":
            super().submit(ghost)
            call.again = True
        super().submit(call)
        if self.echo == "twice":
            super().submit(ghost)
        if call.script.name in _FORGETFUL:
            self.ghosts.append(ghost)


def settlement(task_id: str, token: str, outcome: str, lock: str) -> settle.Settlement:
    """Return an outcome as the settle area takes it."""
    where = (_QUEUE, task_id, token)
    make: dict[str, Callable[[], settle.Settlement]] = {
        "done": lambda: settle.done(*where, unique_key=lock),
        "completed": lambda: settle.completed(*where, result=b"r", retention=600.0, unique_key=lock),
        "retry": lambda: settle.retry(*where, error="e", delay=600.0, counts=True),
        "uncounted": lambda: settle.retry(*where, error="e", delay=600.0, counts=False),
        "archived": lambda: settle.archived(*where, error="e", reason="exhausted"),
        "requeued": lambda: settle.requeued(*where),
        "deferred": lambda: settle.deferred(*where, delay=600.0),
    }
    return make[outcome]() if outcome in make else settle.dropped(*where, kind=outcome, unique_key=lock)
