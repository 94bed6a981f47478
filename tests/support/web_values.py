"""Bad values for each route of the web UI: what it reads, and what may be answered to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NAME", "NO_TEXT", "ROUTES", "TOKEN", "Kind", "Row"]

TOKEN: Final = "the-secret-of-an-admin"

# As they stand in an address: also what no text becomes when it is quoted.
LONG, NUL, BROKEN, HALF, LINES = "x" * 5000, "a%00b", "%ff%fe", "%ed%a0%80", "a%0d%0aSet-Cookie:%20x=y"
NO_TEXT: Final = (BROKEN, HALF)
ODD: Final = (LONG, NUL, BROKEN, HALF, LINES, "-1", "nan", "..%2F..%2Fetc", "%25", "%D9%A3", "%F0%9F%92%A9")
NUMBERS: Final = ("x", "1.5", "1e3", "-1", "nan", "inf", "9" * 400, "%D9%A3", NUL, BROKEN, HALF, LONG)

Statuses = frozenset[int]


def _is(*statuses: int) -> Statuses:
    return frozenset(statuses)


@dataclass(frozen=True)
class Kind:
    """What may stand somewhere: bad values, and what may be answered to them."""

    values: tuple[str, ...]
    answers: Statuses


ANY: Final = Kind(ODD, _is(200))
"""Text that is looked for, whatever it is."""

SEARCH: Final = Kind(ODD, _is(200, 400))
"""The same where texts have a length, or a grammar."""

WORD: Final = Kind(("odd", *ODD), _is(400))
WHOLE: Final = Kind(NUMBERS, _is(400))
FROM_ONE: Final = Kind(("0", *NUMBERS), _is(400))
CURSOR: Final = Kind(("odd", "0", "lQ", "gA", *ODD), _is(400))
QUEUE: Final = Kind(("nowhere", *ODD), _is(400, 404))
NAME: Final = QUEUE
"""A part of a path: what is called so is not there."""

FREE: Final = Kind(ODD, _is(200, 303, 409))
"""A field of a form that may be anything; the form is otherwise as it should be."""

TEXT: Final = Kind(ODD, _is(200, 303, 400, 409))
"""A field of a form that becomes a part of a task or a filter."""

DURATION: Final = Kind(("nan", "-1", "odd", "1e999x", "9" * 400 + "w", NUL, BROKEN, LONG), _is(400))
COUNT: Final = Kind(NUMBERS, _is(400))


@dataclass(frozen=True)
class Row:
    """One route: what it reads, and of what kind each is."""

    query: Mapping[str, Kind] = field(default_factory=dict)
    form: Mapping[str, Kind] = field(default_factory=dict)
    parts: Mapping[str, Kind] = field(default_factory=dict)  #: of its path, where `NAME` is not right
    given: Mapping[str, str] = field(default_factory=dict)  #: what is sent beside the bad value


PAGE: Final = {"start": WHOLE, "size": FROM_ONE}
_DO: Final = {"next": FREE, "sure": FREE}

ROUTES: Final[Mapping[str, Row]] = {
    "GET /static/{path}": Row(),
    "GET /login": Row(query={"next": Kind(ODD, _is(303))}),
    "POST /login": Row(
        form={"token": Kind(ODD[:4], _is(403)), "next": Kind(ODD, _is(303))}, given={"token": TOKEN}
    ),
    "POST /logout": Row(),
    "GET /settings": Row(),
    "POST /settings": Row(
        form={"theme": WORD, "refresh": Kind(("3", *NUMBERS), _is(400)), "zone": WORD, "keys": FREE}
    ),
    "GET /": Row(query={"span": WORD}),
    "GET /queues": Row(query={"q": ANY, "show": WORD, "sort": WORD, "order": WORD, "page": FROM_ONE}),
    "POST /queues/{queue}/pause": Row(form={"next": FREE}),
    "POST /queues/{queue}/resume": Row(form={"next": FREE}),
    "GET /queues/{queue}": Row(query={"span": WORD}),
    "GET /queues/{queue}/remove": Row(),
    "POST /queues/{queue}/remove": Row(form={"name": WORD, "tasks": FREE}, given={"name": "mail"}),
    "GET /tasks": Row(
        query={
            "q": SEARCH,
            "size": FROM_ONE,
            "cursor": CURSOR,
            "state": WORD,
            **dict.fromkeys(("queue", "type", "group", "cause"), SEARCH),
        }
    ),
    "POST /tasks": Row(
        form={"action": WORD, "task": TEXT, **_DO}, given={"action": "archive", "task": "mail/task-1"}
    ),
    "GET /tasks/{queue}/{id}": Row(),
    "POST /tasks/{queue}/{id}": Row(form={"action": WORD, "fresh": FREE, **_DO}, given={"action": "archive"}),
    "POST /tasks/{queue}/{id}/when": Row(
        form={
            "when": Kind(("nan", "9999-12-31T23:59:59-23:59", "9" * 400, *ODD), _is(400)),
            "version": Kind(ODD, _is(409)),
        },
        given={"when": "1h"},
    ),
    "GET /tasks/{queue}/{id}/edit": Row(),
    "POST /tasks/{queue}/{id}/edit": Row(
        form={
            "payload": Kind(("{", "nan", NUL, LONG, "[" * 4000), _is(400)),
            "headers": Kind(("odd", "a:1%0aa:2", LONG), _is(400)),
            "max_retry": COUNT,
            "timeout": DURATION,
            "retention": DURATION,
            "version": Kind(ODD, _is(409)),
        },
        given={"max_retry": "7"},
    ),
    "GET /tasks/{queue}/{id}/raw/{part}": Row(),
    "GET /enqueue": Row(
        query={"queue": ANY, "type": ANY, "copy_queue": QUEUE, "copy_id": QUEUE},
        given={
            "copy_queue": "mail",
            "copy_id": "task-1",
        },
    ),
    "POST /enqueue": Row(
        form={
            **dict.fromkeys(("type", "queue", "group", "task_id", "copy_queue", "copy_id"), TEXT),
            "form": WORD,
            "payload": Kind(("{", "nan", NUL, LONG, "[" * 4000), _is(400)),
            "headers": Kind(("odd", "a:1%0aa:2", LONG), _is(400)),
            "when": Kind(("nan", "0001-01-01", "9" * 400, *ODD), _is(303, 400)),
            "max_retry": COUNT,
            **dict.fromkeys(("timeout", "retention", "unique"), DURATION),
        },
        given={"type": "bad:values", "queue": "bad", "payload": "1"},
    ),
    "GET /failures": Row(query={"queue": QUEUE, "type": SEARCH, "show": WORD, "scan": FROM_ONE}),
    "GET /jobs": Row(),
    "POST /jobs": Row(form={"action": WORD, "q": TEXT}, given={"action": "run", "q": "queue:nowhere"}),
    "GET /jobs/{job}": Row(),
    "POST /jobs/{job}/go": Row(
        form={"rate": FROM_ONE, "limit": FROM_ONE, "sure": FREE, "fresh": FREE}, given={"sure": "1"}
    ),
    "POST /jobs/{job}/cancel": Row(),
    "GET /schedules": Row(query={"show": WORD, "q": ANY, "queue": SEARCH, "page": FROM_ONE}),
    "GET /schedules/{entry}": Row(),
    "POST /schedules/{entry}": Row(form={"action": WORD, "reason": TEXT, **_DO}, given={"action": "pause"}),
    "GET /groups": Row(query={"queue": QUEUE, "q": ANY, "page": FROM_ONE}),
    "POST /groups/{queue}/{group}/run": Row(),
    "GET /servers": Row(query={"q": ANY, "page": FROM_ONE, "running": FROM_ONE}),
    "GET /servers/{server}": Row(query={"running": FROM_ONE}),
    "GET /redis": Row(),
    "GET /audit": Row(
        query={"actor": SEARCH, "queue": SEARCH, "action": WORD, "outcome": WORD, "cursor": CURSOR}
    ),
    "GET /api/v1/openapi.json": Row(),
    "GET /api/v1/servers": Row(query=PAGE),
    "GET /api/v1/servers/{server}": Row(),
    "GET /api/v1/workers": Row(query=PAGE),
    "GET /api/v1/redis": Row(),
    "GET /api/v1/measures": Row(query={"queue": QUEUE, "span": WORD}),
    "GET /api/v1/types": Row(query={"queue": QUEUE}),
    "GET /api/v1/audit": Row(
        query={
            "actor": SEARCH,
            "queue": SEARCH,
            "action": WORD,
            "outcome": WORD,
            "cursor": CURSOR,
            "size": FROM_ONE,
        }
    ),
    "GET /api/v1/queues": Row(query={"q": ANY, **PAGE}),
    "GET /api/v1/queues/{queue}": Row(),
    "GET /api/v1/queues/{queue}/history": Row(query={"days": FROM_ONE}),
    "GET /api/v1/queues/{queue}/memory": Row(),
    "GET /api/v1/queues/{queue}/groups": Row(query=PAGE),
    "POST /api/v1/queues/{queue}/pause": Row(),
    "POST /api/v1/queues/{queue}/resume": Row(),
    "DELETE /api/v1/queues/{queue}": Row(query={"force": WORD}),
    "GET /api/v1/queues/{queue}/tasks": Row(
        query={
            "state": WORD,
            "type": SEARCH,
            "error": SEARCH,
            "group": QUEUE,
            "size": FROM_ONE,
            "cursor": CURSOR,
        },
        given={"state": "aggregating", "group": "g1"},
    ),
    "GET /api/v1/queues/{queue}/tasks/{id}": Row(),
    "POST /api/v1/queues/{queue}/tasks/{id}/run": Row(),
    "POST /api/v1/queues/{queue}/tasks/{id}/archive": Row(),
    "POST /api/v1/queues/{queue}/tasks/{id}/cancel": Row(),
    "DELETE /api/v1/queues/{queue}/tasks/{id}": Row(),
}
"""Each route, and what it reads. What its forms are beside it is tried with all of them."""
