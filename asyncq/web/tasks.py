"""Tasks of all queues and states in one list: what is looked for is the address, to be sent to others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import quote, unquote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncq.errors import AsyncqError, ConfigError, NotAllowedError, NotFoundError
from asyncq.inspector import ACTIONS, Inspector, TaskQuery
from asyncq.task_info import TaskInfo
from asyncq.web.bulk import WORDS
from asyncq.web.forms import choice_of, form_of, text_of, whole_of
from asyncq.web.origins import safe_path
from asyncq.web.pages import page, turn_to
from asyncq.web.sampling import left_of, sizes_now
from asyncq.web.site import base_of, inspector_of, path_to, site_of, with_query

SIZE: Final = 50
LARGEST: Final = 500
SCAN: Final = 2000
WITHIN: Final = 0.12
"""Seconds for a page to count and to search: then it shows what it has, and the way to go on."""

MOST_SELECTED: Final = 1000

STATES: Final = ("active", "retry", "pending", "archived", "scheduled", "aggregating", "completed")

_SURE: Final = ("archive", "delete", "cancel")
"""Actions that are asked about once more."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on or off with one click."""

    label: str
    path: str
    is_on: bool
    count: int | None = None


async def _list(request: Request) -> Response:
    began = time.monotonic()
    inspector, given = inspector_of(request), request.query_params
    text = text_of(given, "q")
    size = whole_of(given, "size", SIZE, least=1, most=LARGEST)
    try:
        asked = TaskQuery.parse(text)
        query = _merged(asked, given)
        # A few that are named are quickly asked; of thousands it is better known from a moment ago.
        exact = query.exact_queues
        queues = await (inspector.queues.sizes(only=exact, partial=True) if exact else sizes_now(request))
        found = await inspector.search.find(
            query,
            size=size,
            scan=SCAN,
            within=left_of(WITHIN, began),
            cursor=text_of(given, "cursor") or None,
            partial=True,
            among=queues,
        )
    except ConfigError as error:
        context: dict[str, Any] = {
            "query": TaskQuery(),
            "text": text,
            "found": None,
            "chips": [],
            "problem": str(error),
        }
        return _page(request, context, status=400)
    counts = Counter[str]()
    for info in queues:
        if query.names(info.name):
            for state, size in info.sizes.items():
                counts[state] += size
    chips = [_chip(request, query, state, counts[state]) for state in STATES]
    wide = query.but(state=())
    chips.insert(0, Chip("all", _path(request, wide), not query.state, counts.total()))
    return _page(
        request,
        {
            "query": query,
            # As it was typed: in a view that is saved, `since:2h` is two hours ago at any time.
            "text": text if query is asked else str(query),
            "found": found,
            "chips": chips,
            "problem": "",
            "is_first": not text_of(given, "cursor"),
        },
    )


def _page(request: Request, context: Mapping[str, Any], *, status: int = 200) -> Response:
    return page(
        request,
        "tasks.html",
        status=status,
        title="Tasks",
        nav="tasks",
        words=WORDS,
        actions=[action for action in ACTIONS if inspector_of(request).rights.may(f"task.{action}")],
        key_of=key_of,
        **{"is_first": True, **context},
    )


def _merged(query: TaskQuery, given: Mapping[str, str]) -> TaskQuery:
    """A query with what links of other pages say beside it: `?queue=mail&state=retry`."""
    more = [
        f'{name}:"{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name in ("queue", "state", "type", "group", "cause")
        if (value := text_of(given, name))
    ]
    if not more:
        return query
    return TaskQuery.parse(" ".join((str(query), *more)))


def _path(request: Request, query: TaskQuery) -> str:
    return with_query(path_to(request, "tasks"), q=query, size=request.query_params.get("size"))


def _chip(request: Request, query: TaskQuery, state: str, count: int) -> Chip:
    one = TaskQuery.parse(f"state:{state}").state
    return Chip(state, _path(request, query.but(state=one)), query.state == one, count)


# --- what was ticked ----------------------------------------------------------------------


def key_of(info: TaskInfo) -> str:
    """What stands for a task in a form."""
    return f"{quote(info.queue, safe='')}/{quote(info.id, safe='')}"


def _selected(form: FormData) -> dict[str, list[str]]:
    """Ids by queue.

    Raises:
        ConfigError: Nothing is selected, or too much.
    """
    keys = [key for key in form.getlist("task") if isinstance(key, str)]
    if not keys:
        raise ConfigError("task", "", "at least one task that is ticked")
    if len(keys) > MOST_SELECTED:
        raise ConfigError(
            "task", len(keys), f"at most {MOST_SELECTED} tasks; for more act upon all that match"
        )
    found: dict[str, list[str]] = {}
    for key in dict.fromkeys(keys):
        queue, slash, task_id = key.partition("/")
        if not slash:
            raise ConfigError("task", key, "a queue and an id, with a slash between")
        found.setdefault(unquote(queue), []).append(unquote(task_id))
    return found


async def _act(request: Request) -> Response:
    """Do something to all that are ticked."""
    form = await form_of(request)
    action = choice_of(form, "action", tuple(ACTIONS))
    chosen = _selected(form)
    given = text_of(form, "next")
    # It stands in a link of the page that asks once more, too.
    following = safe_path(given, base_of(request)) if given else path_to(request, "tasks")
    count = sum(map(len, chosen.values()))
    if action in _SURE and not text_of(form, "sure"):
        await inspector_of(request).require(f"task.{action}", target=f"{count} tasks")
        keys = [
            ("task", f"{quote(queue, safe='')}/{quote(one, safe='')}")
            for queue in chosen
            for one in chosen[queue]
        ]
        return page(
            request,
            "confirm.html",
            title=f"{WORDS[action][0]} {count} tasks?",
            nav="tasks",
            text="Deleted tasks are gone for good." if action == "delete" else "",
            url=path_to(request, "tasks_act"),
            fields=[*keys, ("action", action), ("next", following), ("sure", "1")],
            label=f"{WORDS[action][0]} them",
            back=following,
        )
    words: Counter[str] = Counter()
    for queue, ids in chosen.items():
        words.update(await _do(inspector_of(request), action, queue, ids))
    site_of(request).samples.forget()
    done = words.pop("done", 0)
    said = f"{done} of {count} tasks {WORDS[action][1]}"
    if words:
        said += "; the others were left alone: " + ", ".join(f"{n} {word}" for word, n in words.items())
    return turn_to(request, following, f"{said}.", kind="done" if done else "problem")


async def _do(inspector: Inspector, action: str, queue: str, ids: Sequence[str]) -> Counter[str]:
    """A word for each: `done`, or why not."""
    words: Counter[str] = Counter()
    if action != "cancel":
        try:
            told = await inspector.tasks.apply(
                cast("Literal['run', 'archive', 'delete']", action), queue, ids
            )
        except NotFoundError:
            told = dict.fromkeys(ids, "missing")
        words.update(told.values())
        return words
    for task_id in ids:
        word: str
        try:
            word = await inspector.tasks.cancel(queue, task_id)
        except NotAllowedError:
            raise
        except AsyncqError as error:
            word = "missing" if isinstance(error, NotFoundError) else str(error)
        words["done" if word in ("cancelled", "requested") else word] += 1
    return words


routes = [
    Route("/tasks", _list, methods=["GET"], name="tasks"),
    Route("/tasks", _act, methods=["POST"], name="tasks_act"),
]
