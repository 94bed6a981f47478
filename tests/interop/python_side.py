"""asyncq in the wire of asynq, as a side."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from asyncq import Client, Context, Inspector, Mux, RevokeTask, Server, SkipRetry, Task
from asyncq.errors import (
    DuplicateTaskError,
    GroupNotFoundError,
    TaskIdConflictError,
    TaskNotFoundError,
    TaskStateError,
)
from asyncq.retry import Fixed
from tests.support.waiting import wait_until

from .sides import RefusedError, Run, View, whole

__all__ = ["PythonSide"]


class PythonSide:
    """asyncq, in the wire of asynq."""

    name = "python"

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client(url, wire="asynq")
        self.inspector = Inspector(url, wire="asynq")
        self._servers: dict[str, AsyncExitStack] = {}
        self._runs: list[Run] = []
        self.aggregated: list[tuple[str, list[Task]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._servers):
            await self.shut_down(name)
        await self.client.aclose()
        await self.inspector.aclose()

    async def enqueue(
        self, kind: str, payload: bytes, headers: dict[str, str] | None = None, **o: Any
    ) -> str:
        for name in ("deadline", "process_at"):
            if name in o:
                o[name] = datetime.fromtimestamp(o[name], UTC)
        try:
            info = await self.client.enqueue(Task(kind, payload, headers=headers or {}), **o)
        except DuplicateTaskError as error:
            raise RefusedError("duplicate") from error
        except TaskIdConflictError as error:
            raise RefusedError("conflict") from error
        return info.id

    async def serve(self, name: str = "a", **options: Any) -> None:
        await self.start_server(name, **options)

    async def start_server(self, name: str = "a", **options: Any) -> Server:
        """The same, and hand the server out."""
        options = {"concurrency": 10, **options}
        options["shutdown_timeout"] = options.pop("shutdown", 0.2)
        options["retry"] = Fixed(options.pop("retry_delay", 0))
        group: dict[str, Any] | None = options.pop("group", None)
        if group is not None:
            options |= {
                "group_aggregator": self._aggregator(group.get("into", {})),
                "group_grace_period": group.get("grace", 1),
                "group_max_size": group.get("max_size"),
                "group_max_delay": group.get("max_delay"),
            }
        if "strict" in options:
            options["strict_priority"] = options.pop("strict")
        server = Server(self.url, wire="asynq", **options)
        self._servers[name] = AsyncExitStack()
        await self._servers[name].enter_async_context(server.running(self._mux()))
        return server

    def _aggregator(self, into: dict[str, Any]) -> Callable[[str, list[Task]], Task]:
        def aggregate(group: str, tasks: list[Task]) -> Task:
            self.aggregated.append((group, list(tasks)))
            return Task("aggregated", {"group": group, "size": len(tasks)}, **into)

        return aggregate

    async def shut_down(self, name: str = "a") -> None:
        await self._servers.pop(name).aclose()

    async def view(self, task_id: str, queue: str = "default") -> View | None:
        try:
            return _python_view(await self.inspector.tasks.get(queue, task_id))
        except TaskNotFoundError:
            return None

    async def views(self, state: str, queue: str = "default", group: str = "") -> list[View]:
        listed = self.inspector.tasks.iterate(queue, state, **({"group": group} if group else {}))
        try:
            return [_python_view(info) async for info in listed]
        except GroupNotFoundError:
            return []  # as Go says it

    async def act(self, action: str, task_id: str, queue: str = "default") -> None:
        try:
            await getattr(self.inspector.tasks, action)(queue, task_id)
        except TaskNotFoundError as error:
            raise RefusedError("task not found") from error
        except TaskStateError as error:
            raise RefusedError("wrong state") from error

    async def act_on_all(self, action: str, state: str, queue: str = "default", group: str = "") -> int:
        given = {"group": group} if group else {}
        report = await getattr(self.inspector.tasks, f"{action}_all")(queue, state, **given)
        return int(report.done)

    async def edit(self, task_id: str, payload: bytes, queue: str = "default") -> None:
        await self.inspector.tasks.edit(queue, task_id, payload=payload)

    async def pause(self, queue: str = "default") -> None:
        await self.inspector.queues.pause(queue)

    async def unpause(self, queue: str = "default") -> None:
        await self.inspector.queues.unpause(queue)

    async def run(self, task_id: str, number: int = 0) -> Run:
        def found() -> list[Run]:
            return [run for run in self._runs if run.task == task_id]

        await wait_until(lambda: len(found()) > number, f"attempt {number} at {task_id} by Python", 15)
        return found()[number]

    def runs(self) -> list[Run]:
        return list(self._runs)

    async def groups(self, queue: str = "default") -> dict[str, int]:
        return {group.name: group.size for group in await self.inspector.groups.list(queue)}

    async def parts(self, group: str) -> list[bytes]:
        def found() -> list[list[Task]]:
            return [tasks for name, tasks in self.aggregated if name == group]

        await wait_until(found, f"the aggregation of {group!r} by Python", 15)
        return [task.raw for task in found()[0]]

    async def numbers(self, queue: str = "default") -> dict[str, int]:
        info = await self.inspector.queues.get(queue)
        return {name: getattr(info, name) for name in ("processed", "failed", "archived", "size")}

    def _mux(self) -> Mux:
        mux = Mux()
        mux.not_found(self._handle)
        return mux

    async def _handle(self, task: Task, ctx: Context) -> None:
        deadline = None if ctx.deadline is None else ctx.deadline.timestamp()
        seen = Run(
            ctx.id, task.type, task.raw, dict(task.headers), ctx.retried, ctx.max_retry, ctx.queue, deadline
        )
        self._runs.append(seen)
        await _follow(task, ctx)


async def _follow(task: Task, ctx: Context) -> None:
    """Do what the payload says, as `follow` in drive/handler.go does."""
    try:
        what = json.loads(task.raw)
    except ValueError:
        what = {}
    if not isinstance(what, dict):
        what = {}
    if "result" in what:
        await ctx.write_result(what["result"].encode())
    if gate := what.get("python_until"):
        await wait_until(Path(gate).exists, "the test to let the handler go on", 30)
    text, is_over = what.get("text", ""), ctx.retried >= what.get("times", math.inf)
    match what.get("act"):
        case "fail" | "panic" if not is_over:
            raise RuntimeError(text)
        case "skip":
            raise SkipRetry(text)
        case "revoke":
            raise RevokeTask(text)
        case "block":
            await asyncio.Event().wait()


def _python_view(info: Any) -> View:
    is_delayed = info.state in ("scheduled", "retry")
    return View(
        id=info.id,
        type=info.type,
        payload=info.raw,
        state=str(info.state.value),
        max_retry=info.max_retry,
        retried=info.retried,
        last_error=info.last_error,
        headers=dict(info.headers),
        timeout=math.ceil(info.timeout),
        deadline=whole(info.deadline),
        retention=math.ceil(info.retention),
        group=info.group,
        result=info.raw_result or b"",
        due=whole(info.next_process_at) if is_delayed else None,
        failed_at=whole(info.last_failed_at),
        completed_at=whole(info.completed_at),
    )
