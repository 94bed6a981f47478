"""Go's asynq as a side."""

from __future__ import annotations

from typing import Any

from .driving import Go, GoCallError
from .sides import RefusedError, Run, View, whole

__all__ = ["GoSide"]


class GoSide:
    """Go's asynq."""

    name = "go"

    def __init__(self, go: Go) -> None:
        self.go = go

    async def enqueue(
        self, kind: str, payload: bytes, headers: dict[str, str] | None = None, **o: Any
    ) -> str:
        info = await self._call("enqueue", type=kind, payload=payload, headers=headers, options=o)
        return str(info["id"])

    async def serve(self, name: str = "a", **options: Any) -> None:
        options = {"concurrency": 10, "retry_delay": 0, "shutdown": 0.2, **options}
        if "group" in options:
            # Go refuses less than a second.
            options["group"] = {"grace": 1, **options["group"]}
        await self.go("start_server", name=name, check=0.01, delayed=0.05, janitor=0.1, **options)

    async def shut_down(self, name: str = "a") -> None:
        await self.go("shutdown_server", name=name)

    async def view(self, task_id: str, queue: str = "default") -> View | None:
        try:
            return _go_view(await self.go("task", queue=queue, id=task_id))
        except GoCallError as error:
            if error.kind in ("task not found", "queue not found"):
                return None
            raise

    async def views(self, state: str, queue: str = "default", group: str = "") -> list[View]:
        listed = await self.go("list", state=state, queue=queue, group=group, size=10_000)
        return [_go_view(one) for one in listed]

    async def act(self, action: str, task_id: str, queue: str = "default") -> None:
        if action == "cancel":
            await self.go("cancel", id=task_id)
        else:
            await self._call(f"{action}_task", queue=queue, id=task_id)

    async def act_on_all(self, action: str, state: str, queue: str = "default", group: str = "") -> int:
        return int(await self._call(f"{action}_all", queue=queue, state=state, group=group))

    async def edit(self, task_id: str, payload: bytes, queue: str = "default") -> None:
        await self._call("update_payload", queue=queue, id=task_id, payload=payload)

    async def pause(self, queue: str = "default") -> None:
        await self.go("pause", queue=queue)

    async def unpause(self, queue: str = "default") -> None:
        await self.go("unpause", queue=queue)

    async def run(self, task_id: str, number: int = 0) -> Run:
        await self.go.until(
            lambda: len(self.go.seen("run", task=task_id)) > number, f"attempt {number} at {task_id} by Go"
        )
        return _go_run(self.go.seen("run", task=task_id)[number])

    def runs(self) -> list[Run]:
        return [_go_run(event) for event in self.go.seen("run")]

    async def groups(self, queue: str = "default") -> dict[str, int]:
        return {one["Group"]: one["Size"] for one in await self.go("groups", queue=queue) or []}

    async def parts(self, group: str) -> list[bytes]:
        payloads: list[bytes] = (await self.go.event("aggregate", group=group))["payloads"]
        return payloads

    async def numbers(self, queue: str = "default") -> dict[str, int]:
        info = await self.go("queue_info", queue=queue)
        names = {"processed": "Processed", "failed": "Failed", "archived": "Archived", "size": "Size"}
        return {ours: info[theirs] for ours, theirs in names.items()}

    async def _call(self, verb: str, **arguments: Any) -> Any:
        try:
            return await self.go(verb, **arguments)
        except GoCallError as error:
            text = str(error).lower()
            wrong_state = "failed_precondition" in text or "already archived" in text
            raise RefusedError("wrong state" if wrong_state else error.kind) from error


def _go_view(info: dict[str, Any]) -> View:
    is_delayed = info["state"] in ("scheduled", "retry")
    return View(
        id=info["id"],
        type=info["type"],
        payload=info["payload"],
        state=info["state"],
        max_retry=info["max_retry"],
        retried=info["retried"],
        last_error=info["last_error"],
        headers=info["headers"] or {},
        timeout=int(info["timeout"]),
        deadline=whole(info["deadline"]),
        retention=int(info["retention"]),
        group=info["group"],
        result=info["result"],
        due=whole(info["next_process_at"]) if is_delayed else None,
        failed_at=whole(info["last_failed_at"]),
        completed_at=whole(info["completed_at"]),
    )


def _go_run(event: dict[str, Any]) -> Run:
    return Run(
        task=event["task"],
        type=event["type"],
        payload=event["payload"],
        headers=event["headers"] or {},
        retried=event["retried"],
        max_retry=event["max_retry"],
        queue=event["queue"],
        deadline=event.get("deadline"),
    )
