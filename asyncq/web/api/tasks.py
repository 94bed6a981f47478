"""The API: tasks."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from asyncq.inspector import TaskFilters
from asyncq.web.api.encoding import task
from asyncq.web.api.operations import Operation, Parameter
from asyncq.web.api.queues import MOST
from asyncq.web.forms import choice_of, text_of, whole_of
from asyncq.web.site import inspector_of, site_of

STATES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


async def _list(request: Request) -> Any:
    query = request.query_params
    filters: TaskFilters = {}
    if value := text_of(query, "type"):
        filters["type"] = value
    if value := text_of(query, "error"):
        filters["error"] = value
    if value := text_of(query, "group"):
        filters["group"] = value
    state: Any = choice_of(query, "state", STATES)
    page = await inspector_of(request).tasks.list(
        request.path_params["queue"],
        state,
        size=whole_of(query, "size", 50, least=1, most=MOST),
        cursor=text_of(query, "cursor") or None,
        **filters,
    )
    return {"items": [task(info) for info in page.tasks], "cursor": page.cursor}


async def _get(request: Request) -> Any:
    queue, task_id = _place(request)
    return task(await inspector_of(request).tasks.get(queue, task_id), whole=True)


async def _run(request: Request) -> Any:
    queue, task_id = _place(request)
    await inspector_of(request).tasks.run(queue, task_id)
    return _done(request)


async def _archive(request: Request) -> Any:
    queue, task_id = _place(request)
    await inspector_of(request).tasks.archive(queue, task_id)
    return _done(request)


async def _cancel(request: Request) -> Any:
    queue, task_id = _place(request)
    answer = await inspector_of(request).tasks.cancel(queue, task_id)
    return {**_done(request), "answer": answer}


async def _delete(request: Request) -> Any:
    queue, task_id = _place(request)
    await inspector_of(request).tasks.delete(queue, task_id)
    return _done(request)


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["queue"], request.path_params["id"]


def _done(request: Request) -> dict[str, Any]:
    site_of(request).samples.forget()
    return {"done": True}


_ALL: Final = "/queues/{queue}/tasks"
_ONE: Final = f"{_ALL}/{{id}}"

OPERATIONS: Final = (
    Operation(
        "GET", _ALL, "list_tasks", "Tasks of a queue in one state", _list,
        parameters=(
            Parameter("state", "In which state", choices=STATES),
            Parameter("type", "Of this type; a * stands for any text"),
            Parameter("error", "Text in the last error"),
            Parameter("group", "The group, for aggregating tasks"),
            Parameter("size", f"How many at the most, up to {MOST}", "integer"),
            Parameter("cursor", "Of the page before, to go on after it"),
        ),
    ),
    Operation("GET", _ONE, "get_task", "One task, with payload and result", _get),
    Operation("POST", f"{_ONE}/run", "run_task", "Let it run now", _run, "task.run"),
    Operation("POST", f"{_ONE}/archive", "archive_task", "Put it away", _archive, "task.archive"),
    Operation("POST", f"{_ONE}/cancel", "cancel_task", "Cancel it", _cancel, "task.cancel"),
    Operation("DELETE", _ONE, "delete_task", "Delete it", _delete, "task.delete"),
)  # fmt: skip
