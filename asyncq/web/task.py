"""One task: what it is, what happened to it, and everything that can be done to it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq._clock import parse_duration
from asyncq.errors import (
    ConfigError,
    DuplicateTaskError,
    NotAllowedError,
    NotFoundError,
    PayloadError,
    TaskChangedError,
    WireError,
)
from asyncq.inspector import ACTIONS, TaskChanges
from asyncq.task_info import TaskInfo
from asyncq.web.bulk import WORDS
from asyncq.web.forms import choice_of, form_of, seconds_in, text_of, whole_in
from asyncq.web.live import live_page
from asyncq.web.pages import page, preferences_of, turn_to
from asyncq.web.site import inspector_of, path_to, site_of
from asyncq.web.timeline import timeline
from asyncq.web.values import (
    NOTHING,
    editable,
    headers_text,
    payload_of,
    read_headers,
    read_payload,
    seconds_text,
    show,
)

EDITABLE: Final = ("scheduled", "pending", "retry", "archived", "aggregating")
MOVABLE: Final = ("scheduled", "pending", "retry", "archived")

_ALSO: Final[Mapping[str, tuple[str, ...]]] = {"cancel": ("pending", "aggregating")}
"""States of a single task that allow it, beside those of many."""

_SURE: Final = ("archive", "delete", "cancel")

_COPIED: Final = 4096
"""Characters of a payload in a command to copy."""


async def _show(request: Request) -> Response:
    return await live_page(request, "task.html", "_task.html", _content)


async def _content(request: Request) -> Mapping[str, Any]:
    queue, task_id = _which(request)
    title = f"Task {task_id}"
    try:
        info = await inspector_of(request).tasks.get(queue, task_id)
    except NotFoundError:
        if "live" not in request.query_params:
            raise
        # To find out what else could be meant takes many looks: once for each stream is enough.
        return {"title": title, "nav": "tasks", "info": None, "is_final": True}
    payload, unreadable = payload_of(info)
    state = info.state.value
    return {
        "title": f"{info.type} {task_id}",
        "nav": "tasks",
        "info": info,
        "payload": show(payload),
        "unreadable": unreadable,
        "result": _result(info),
        "progress": _progress(info),
        "events": timeline(info),
        "actions": [one for one in ACTIONS if state in ACTIONS[one] or state in _ALSO.get(one, ())],
        "words": WORDS,
        "can_edit": state in EDITABLE,
        "can_move": state in MOVABLE,
        "python": as_python(info),
        "command": as_command(info),
    }


def _which(request: Request) -> tuple[str, str]:
    return request.path_params["queue"], request.path_params["id"]


def _result(info: TaskInfo) -> Any:
    if info.state.value != "completed" and info.result is None:
        return NOTHING
    try:
        return show(info.result)
    except WireError:
        return show(info.raw_result)


def _progress(info: TaskInfo) -> Any:
    try:
        return info.progress
    except WireError:
        return None


def as_python(info: TaskInfo) -> str:
    """The call that enqueues such a task; empty where its payload cannot be written down."""
    payload = _literal(info)
    if payload is None:
        return ""
    options = [f"queue={info.queue!r}"]
    options += [f"max_retry={info.max_retry}", f"timeout={info.timeout:g}"]
    options += [f"retention={info.retention:g}"] if info.retention else []
    options += [f"headers={dict(info.headers)!r}"] if info.headers else []
    return f"await client.enqueue(Task({info.type!r}, {payload}), {', '.join(options)})"


def as_command(info: TaskInfo) -> str:
    """The command that enqueues such a task; empty where its payload is no JSON."""
    field = editable(info)
    if field is None or field.form != "json" or len(field.text) > _COPIED:
        return ""
    payload = json.dumps(json.loads(field.text), ensure_ascii=False)
    parts = ["asyncq", "enqueue", f"--queue={info.queue}", f"--max-retry={info.max_retry}"]
    parts += [f"--timeout={seconds_text(info.timeout)}"]
    parts += [f"--retention={seconds_text(info.retention)}"] if info.retention else []
    parts += [f"--header={name}={value}" for name, value in info.headers.items()]
    # What begins with a dash is no option.
    return shlex.join([*parts, "--", info.type, payload])


def _literal(info: TaskInfo) -> str | None:
    if info.is_redacted:
        return None
    value, problem = payload_of(info)
    try:
        text = repr(value)
    except RecursionError:
        return None
    return None if problem or len(text) > _COPIED else text


# --- doing something ------------------------------------------------------------------------


async def _act(request: Request) -> Response:
    """Run, archive, delete or cancel it."""
    queue, task_id = _which(request)
    form = await form_of(request)
    action = choice_of(form, "action", tuple(ACTIONS))
    back = path_to(request, "task", queue=queue, id=task_id)
    following = text_of(form, "next") or (path_to(request, "tasks") if action == "delete" else back)
    if action in _SURE and not text_of(form, "sure"):
        await inspector_of(request).require(f"task.{action}", queue, target=task_id)
        # Nobody is asked about a task that is not there.
        await inspector_of(request).tasks.get(queue, task_id)
        return page(
            request,
            "confirm.html",
            title=f"{WORDS[action][0]} task {task_id} of {queue}?",
            nav="tasks",
            text="A deleted task is gone for good." if action == "delete" else "",
            url=path_to(request, "task_act", queue=queue, id=task_id),
            fields=[
                ("action", action),
                ("next", path_to(request, "tasks") if action == "delete" else back),
                ("sure", "1"),
            ],
            label=f"{WORDS[action][0]} it",
            back=back,
        )
    tasks = inspector_of(request).tasks
    said = f"Task {task_id} was {WORDS[action][1]}."
    if action == "run":
        await tasks.run(queue, task_id, fresh=bool(text_of(form, "fresh")))
        said = f"Task {task_id} runs as soon as a server takes it."
    elif action == "archive":
        await tasks.archive(queue, task_id)
    elif action == "delete":
        await tasks.delete(queue, task_id)
    else:
        word = await tasks.cancel(queue, task_id)
        if word != "cancelled":
            said = (
                f"Its server was asked to stop task {task_id}."
                if word == "requested"
                else f"Not cancelled: {word}."
            )
    site_of(request).samples.forget()
    return turn_to(request, following, said)


async def _reschedule(request: Request) -> Response:
    queue, task_id = _which(request)
    form = await form_of(request)
    delay, at = read_when(text_of(form, "when"), request)
    back = path_to(request, "task", queue=queue, id=task_id)
    info = await inspector_of(request).tasks.reschedule(
        queue, task_id, at=at, delay=delay, version=text_of(form, "version") or None
    )
    when = info.next_process_at
    return turn_to(
        request, back, f"It is due at {when:%Y-%m-%d %H:%M:%S} UTC." if when else "It was rescheduled."
    )


def read_when(text: str, request: Request) -> tuple[timedelta | None, datetime | None]:
    """Read when something is to run: in so long, `10m`, or at a time, in the zone of the visitor.

    Raises:
        ConfigError: It is neither.
    """
    text = text.removeprefix("in ").removeprefix("+").strip()
    if text and text[0].isdigit() and "-" not in text and ":" not in text:
        try:
            return timedelta(seconds=parse_duration(text)), None
        except (ConfigError, OverflowError):
            pass
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=preferences_of(request).tz)
        return None, at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError("when", text, "a time such as 10m, 1h30m or 2026-11-21 18:00") from None


# --- editing ----------------------------------------------------------------------------------


async def _edit_form(request: Request) -> Response:
    queue, task_id = _which(request)
    await inspector_of(request).require("task.edit", queue, target=task_id)
    info = await inspector_of(request).tasks.get(queue, task_id)
    return _editing(request, info, _fields_of(info))


def _fields_of(info: TaskInfo) -> dict[str, str | None]:
    """What stands in the form; `None` for what cannot be edited as text."""
    field = editable(info, is_merged=True)
    return {
        "payload": None if field is None else field.text,
        "headers": headers_text(info.headers),
        "max_retry": str(info.max_retry),
        "timeout": seconds_text(info.timeout),
        "retention": seconds_text(info.retention),
        "version": info.version,
    }


def _editing(
    request: Request,
    info: TaskInfo,
    fields: Mapping[str, str | None],
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "task_edit.html",
        status=status,
        title=f"Edit task {info.id}",
        nav="tasks",
        info=info,
        fields=fields,
        form=getattr(editable(info, is_merged=True), "form", ""),
        problem=problem,
    )


async def _edit(request: Request) -> Response:
    queue, task_id = _which(request)
    inspector, form = inspector_of(request), await form_of(request)
    info = await inspector.tasks.get(queue, task_id)
    before = _fields_of(info)
    given = {name: _raw(form.get(name)) for name in before if name in form}
    try:
        changes = _changes(given, before, getattr(editable(info, is_merged=True), "form", ""))
        if changes:
            await inspector.tasks.edit(queue, task_id, version=given.get("version") or None, **changes)
        else:
            await inspector.require("task.edit", queue, target=task_id)
    except (ConfigError, PayloadError) as error:
        return _editing(request, info, {**before, **given}, problem=str(error), status=400)
    except (TaskChangedError, DuplicateTaskError) as error:
        # What was written is not lost: it is there to be compared with what is there now.
        shown = {**before, **given, "version": info.version}
        return _editing(request, info, shown, problem=str(error), status=409)
    except NotAllowedError as error:
        return _editing(request, info, {**before, **given}, problem=str(error), status=403)
    said = "It was changed." if changes else "Nothing was changed."
    return turn_to(request, path_to(request, "task", queue=queue, id=task_id), said)


def _raw(value: object) -> str:
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _changes(given: Mapping[str, str], before: Mapping[str, str | None], form: str) -> TaskChanges:
    """What was changed in the form, and nothing else.

    Raises:
        ConfigError: It cannot be understood.
    """
    changes: TaskChanges = {}
    changed = {name for name, text in given.items() if before[name] is not None and text != before[name]}
    if "payload" in changed:
        changes["payload"] = read_payload(given["payload"], form)
    if "headers" in changed:
        changes["headers"] = read_headers(given["headers"])
    if "max_retry" in changed:
        changes["max_retry"] = whole_in("max_retry", given["max_retry"])
    if "timeout" in changed:
        changes["timeout"] = seconds_in("timeout", given["timeout"])
    if "retention" in changed:
        changes["retention"] = seconds_in("retention", given["retention"])
    return changes


# --- the bytes themselves -----------------------------------------------------------------------


async def _download(request: Request) -> Response:
    """Payload or result, as they are stored; as a file, so that no browser takes them for a page."""
    info = await inspector_of(request).tasks.get(*_which(request))
    part = request.path_params["part"]
    raw = {"payload": info.raw, "result": info.raw_result}.get(part)
    if info.is_redacted or raw is None:
        raise HTTPException(
            403 if info.is_redacted else 404, "It is hidden here." if info.is_redacted else "None is kept."
        )
    headers = {"Content-Disposition": f'attachment; filename="{part}.bin"'}
    return Response(raw, headers=headers, media_type="application/octet-stream")


_ONE: Final = "/tasks/{queue:asyncq}/{id:asyncq}"

routes = [
    Route(_ONE, _show, methods=["GET"], name="task"),
    Route(_ONE, _act, methods=["POST"], name="task_act"),
    Route(_ONE + "/when", _reschedule, methods=["POST"], name="task_when"),
    Route(_ONE + "/edit", _edit_form, methods=["GET"], name="task_edit"),
    Route(_ONE + "/edit", _edit, methods=["POST"]),
    Route(_ONE + "/raw/{part}", _download, methods=["GET"], name="task_raw"),
]
