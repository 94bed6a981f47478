"""A form that enqueues a task: from nothing, or as a copy of one that is there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import ConfigError, EnqueueRefusedError, NotFoundError, PayloadError
from asyncq.task import Task
from asyncq.task_info import TaskInfo
from asyncq.web.forms import choice_of, form_of, seconds_in, text_of, whole_in
from asyncq.web.pages import page, turn_to
from asyncq.web.site import inspector_of, path_to, site_of
from asyncq.web.task import read_when
from asyncq.web.values import editable, headers_text, read_headers, read_payload, seconds_text

_FORMS: Final = ("json", "text", "same")
_EMPTY: Final[Mapping[str, str]] = {
    "type": "",
    "queue": "default",
    "form": "json",
    "payload": "",
    "headers": "",
    "when": "",
    "max_retry": "",
    "timeout": "",
    "retention": "",
    "unique": "",
    "group": "",
    "task_id": "",
    "copy_queue": "",
    "copy_id": "",
}
"""The fields of the form."""


async def _form(request: Request) -> Response:
    await inspector_of(request).require("task.enqueue")
    given = request.query_params
    fields = {**_EMPTY, "queue": text_of(given, "queue") or "default", "type": text_of(given, "type")}
    copied = await _copied(request, text_of(given, "copy_queue"), text_of(given, "copy_id"))
    if copied is not None:
        fields |= _of(copied)
    return _page(request, fields, copied)


async def _copied(request: Request, queue: str, task_id: str) -> TaskInfo | None:
    """The task that a copy is made of.

    Raises:
        HTTPException: Its payload is hidden from whoever asks: a copy could be made to tell it.
    """
    if not task_id:
        return None
    info = await inspector_of(request).tasks.get(queue, task_id)
    if info.is_redacted:
        raise HTTPException(
            403, "The payload of that task is hidden here, so it cannot be copied here either."
        )
    return info


def _of(info: TaskInfo) -> dict[str, str]:
    field = editable(info)
    return {
        "type": info.type,
        "queue": info.queue,
        "form": "same" if field is None else field.form,
        "payload": "" if field is None else field.text,
        "headers": headers_text(info.headers) or "",
        "max_retry": str(info.max_retry),
        "timeout": seconds_text(info.timeout),
        "retention": seconds_text(info.retention) if info.retention else "",
        "copy_queue": info.queue,
        "copy_id": info.id,
    }


def _page(
    request: Request,
    fields: Mapping[str, str],
    copied: TaskInfo | None,
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "enqueue.html",
        status=status,
        title="Enqueue a task",
        nav="tasks",
        fields=fields,
        copied=copied,
        problem=problem,
    )


async def _enqueue(request: Request) -> Response:
    form = await form_of(request)
    fields = {name: _line(form, name) for name in _EMPTY}
    copied = None
    with contextlib.suppress(NotFoundError):
        copied = await _copied(request, fields["copy_queue"], fields["copy_id"])
    try:
        kind = choice_of(form, "form", _FORMS)
        task = Task(fields["type"].strip(), _payload(fields, kind, copied))
        info = await inspector_of(request).tasks.enqueue(task, **_options(request, fields))
    except (ConfigError, PayloadError) as error:
        return _page(request, fields, copied, problem=str(error), status=400)
    except EnqueueRefusedError as error:
        return _page(request, fields, copied, problem=str(error), status=409)
    site_of(request).samples.forget()
    return turn_to(request, path_to(request, "task", queue=info.queue, id=info.id), "The task was enqueued.")


def _line(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _payload(fields: Mapping[str, str], kind: str, copied: TaskInfo | None) -> Any:
    if kind == "same":
        if copied is None:
            raise ConfigError("form", kind, "a payload, as the task that was to be copied is gone")
        return copied.payload
    return read_payload(fields["payload"], kind)


def _options(request: Request, fields: Mapping[str, str]) -> Any:
    """The options that were given; what is empty is not."""
    options: dict[str, Any] = {"queue": fields["queue"].strip() or "default"}
    if headers := read_headers(fields["headers"]):
        options["headers"] = headers
    if text := fields["max_retry"].strip():
        options["max_retry"] = whole_in("max_retry", text)
    for name in ("timeout", "retention", "unique"):
        if text := fields[name].strip():
            options[name] = seconds_in(name, text)
    for name in ("group", "task_id"):
        if text := fields[name].strip():
            options[name] = text
    if text := fields["when"].strip():
        delay, at = read_when(text, request)
        options |= {"process_in": delay} if delay is not None else {"process_at": at}
    return options


routes = [
    Route("/enqueue", _form, methods=["GET"], name="enqueue"),
    Route("/enqueue", _enqueue, methods=["POST"]),
]
