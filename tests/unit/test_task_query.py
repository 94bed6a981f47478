"""Queries as people write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncq._wire.messages import Envelope
from asyncq._wire.states import State
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError
from asyncq.inspector import TaskQuery
from asyncq.task_info import TaskHistory, TaskInfo


def task(
    payload: Any = None, *, task_id: str = "id-1", type_name: str = "email:welcome", error: str = ""
) -> TaskInfo:
    """A task as a list shows it."""
    codec, raw = Codecs().encode(payload, type=type_name)
    return TaskInfo(
        "q", task_id, Envelope(type_name, raw, codec), State.RETRY, history=TaskHistory(last_error=error)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TaskQuery()),
        ("type:email:*", TaskQuery(type="email:*")),
        ("queue:a,b queue:c-*", TaskQuery(queue=("a", "b", "c-*"))),
        ("state:retry,archived,retry", TaskQuery(state=(State.RETRY, State.ARCHIVED))),
        ('error:"timed out" error:x', TaskQuery(error=("timed out", "x"))),
        ("payload.user.id:42", TaskQuery(fields=(("user.id", "42"),))),
        ('payload:"a \\"b\\" \\\\"', TaskQuery(payload=('a "b" \\',))),
        ('one "two three" type:', TaskQuery(words=("one", "two three"))),
        ('"type:x" email:welcome', TaskQuery(words=("type:x", "email:welcome"))),
        ("id:abc group:g cause:0123", TaskQuery(id="abc", group="g", cause="0123")),
        ("since:2026-11-21", TaskQuery(since=datetime(2026, 11, 21, tzinfo=UTC))),
        ("until:2026-11-21T10:00+02:00", TaskQuery(until=datetime(2026, 11, 21, 8, tzinfo=UTC))),
    ],
)
def test_a_query_is_read_and_written(text: str, expected: TaskQuery) -> None:
    """What is written says the same when it is read again."""
    query = TaskQuery.parse(text)
    assert query == expected
    assert TaskQuery.parse(str(query)) == query
    assert bool(query) is (query != TaskQuery())


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", -7200), ("1d12h", -129600), ("+30m", 1800), ("-90s", -90), ("2w", -1209600)]
)
def test_times_count_from_now(text: str, seconds: float) -> None:
    """Nobody wants to write a date at night."""
    since = TaskQuery.parse(f"since:{text}").since
    assert since is not None
    assert abs((since - datetime.now(UTC)) - timedelta(seconds=seconds)) < timedelta(seconds=60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state:retri", "did you mean 'retry'"),
        ("since:yesterday", "2h"),
        ("since:999999999999999999w", "2h"),
        ("type:a type:b", "one `type:`"),
        ("x" * 1001, "1,000 characters"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    """Before anything is asked of Redis."""
    with pytest.raises(ConfigError) as caught:
        TaskQuery.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("payload:ANN", True),
        ("payload:bob", False),
        ("payload.user.id:42", True),
        ("payload.user.id:4", False),
        ("payload.user.id:4*", True),
        ("payload.tags:red", True),
        ("payload.tags:re", False),
        ("payload.lines.sku:A-1", True),
        ("payload.is_new:true", True),
        ("payload.none:null", True),
        ("payload.user:42", False),
        ("payload.big:12345678901234567890", True),
        ("id:id-*", True),
        ("type:email:* error:TIMED error:out", True),
        ("type:sms:*", False),
        ("error:refused", False),
        ("welcome ann", True),
        ("welcome bob", False),
        ("id-1", True),
        ("timed", True),
        ("queue:q state:retry", True),
        ("queue:r", False),
        ("state:archived", False),
        ("group:g", False),
        ("cause:0123", False),
    ],
)
def test_a_task_fits_or_does_not(text: str, is_found: bool) -> None:  # noqa: FBT001 - a column
    """Everything that is said must fit."""
    payload = {
        "user": {"id": 42, "mail": "Ann@example.com"},
        "tags": ["blue", "red"],
        "lines": [{"sku": "A-1"}, {"sku": "A-2"}],
        "is_new": True,
        "none": None,
        "big": 12345678901234567890,
    }
    assert TaskQuery.parse(text).takes(task(payload, error="TimeoutError: timed out")) is is_found


@pytest.mark.parametrize("payload", [b"\xff\xfe caf\xc3\xa9", "café", {"a": b"\xff"}, [1, [2, [3]]], None])
def test_payloads_of_any_kind_are_looked_through(payload: Any) -> None:
    """Bytes that are no text among them."""
    found = TaskQuery.parse("payload:café").takes(task(payload))
    assert found is (payload in (b"\xff\xfe caf\xc3\xa9", "café"))


def test_queues_may_be_named_in_full() -> None:
    """Then no others need to be looked at."""
    assert TaskQuery.parse("queue:a,b").exact_queues == ("a", "b")
    assert TaskQuery.parse("queue:a,b-*").exact_queues is None
    assert TaskQuery.parse("type:x").exact_queues is None


def test_a_pattern_takes_no_longer_than_the_text_is() -> None:
    """It comes from a browser, and the types from anybody."""
    query = TaskQuery.parse("type:" + "*a" * 40 + "b")
    started = time.monotonic()
    assert not query.takes(task(type_name="a" * 3000))
    assert time.monotonic() - started < 5.0
