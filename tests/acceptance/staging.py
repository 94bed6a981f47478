"""A Redis with a task in each state, for tests of the command line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from click.testing import CliRunner, Result

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.cli import main
from tests.support.waiting import wait_until

__all__ = ["Stage", "set_stage"]


@dataclass
class Stage:
    """What is there, and the command on it."""

    url: str
    wire: str = "native"
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def environment(self) -> dict[str, str]:
        """How the command finds it."""
        return {"ASYNCQ_URL": self.url, "ASYNCQ_WIRE": self.wire}

    def run(self, *arguments: str, code: int = 0, **options: Any) -> Result:
        """Run the command in this process, and look at its exit code."""
        result = CliRunner().invoke(main, list(arguments), env=self.environment, **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"{arguments}: {result.output}"
        return result

    def items(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """Run it with `--json`, and return the items."""
        found = json.loads(self.run(*arguments, "--json", code=code).stdout)
        assert next(iter(found)) == "items"
        assert list(found)[-1] == "missing"
        return found["items"]

    def one(self, *arguments: str) -> dict[str, Any]:
        """Run it with `--json`, and return the only item."""
        (item,) = self.items(*arguments)
        return item

    def state_of(self, task_id: str) -> str:
        """The state of a task of `mail`."""
        return self.one("task", "show", task_id, "-q", "mail")["state"]


def set_stage(url: str, wire: str = "native") -> Stage:
    """Put a task into each state of the queue `mail`, one into `日本`, and store an entry."""
    stage = Stage(url, wire)
    asyncio.run(_set(stage))
    return stage


async def _set(stage: Stage) -> None:
    mux = Mux()

    @mux.handle("email:bounce")
    async def bounce(_: Task) -> None:
        raise OSError("Timeout of smtp.example")

    @mux.handle("report")
    async def report(_: Task) -> dict[str, int]:
        return {"rows": 3}

    ids = stage.ids
    async with (
        Client(stage.url, wire=stage.wire) as client,
        Inspector(stage.url, wire=stage.wire) as inspector,
    ):

        async def put(name: str, task: Task, **options: Any) -> None:
            ids[name] = (await client.enqueue(task, queue="mail", **options)).id

        await put("archived", Task("email:bounce", {"to": "a@b"}), max_retry=0)
        await put("retry", Task("email:bounce", {"to": "c@d"}), max_retry=5)
        await put("completed", Task("report", {"month": 11}), retention=3600)
        server = Server(stage.url, queues=["mail"], wire=stage.wire, retry=lambda *_: 3600.0)
        async with server.running(mux):

            async def settled() -> bool:
                info = await inspector.queues.get("mail")
                return (info.archived, info.retry, info.completed) == (1, 1, 1)

            await wait_until(settled, "three tasks to be settled")
        await put("pending", Task("email:welcome", {"user_id": 42}), headers={"trace": "4711"})
        await put("scheduled", Task("email:later", None), process_in=3600)
        await put("grouped", Task("digest", 1), group="digest")
        await put("grouped too", Task("digest", 2), group="digest")
        await client.enqueue(Task("挨拶", {"text": "こんにちは\x1b[31m"}), queue="日本")
        await client.schedules.add("0 9 * * *", Task("report", {"month": 12}), entry_id="daily", queue="mail")
