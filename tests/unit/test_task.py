"""Tasks as they are made, received, and shown."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from asyncq._compose import compose
from asyncq._wire.messages import Envelope
from asyncq._wire.native import encode_result
from asyncq._wire.states import State
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError, WireError
from asyncq.task import Task
from asyncq.task_info import Progress, TaskHistory, TaskInfo

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def received(payload: object = None, codecs: Codecs | None = None, **envelope: object) -> Task:
    """Return a task as a handler is given it."""
    codecs = codecs or Codecs()
    codec, raw = codecs.encode(payload, type="email")
    return Task.received("low", "id1", Envelope("email", raw, codec, **envelope), codecs)  # type: ignore[arg-type]


def test_a_task_is_a_type_a_payload_and_options() -> None:
    """What the user says is what the task is."""
    task = Task("email:welcome", {"user_id": 42}, queue="critical", process_in=5, headers={"a": "1"})
    assert (task.type, task.payload, dict(task.headers)) == ("email:welcome", {"user_id": 42}, {"a": "1"})
    assert task.options == {"queue": "critical", "process_in": 5.0, "headers": {"a": "1"}}
    assert (task.id, task.queue) == ("", "")


@pytest.mark.parametrize("bad", ["", "  ", None, 7, b"email", "\ud800"])
def test_a_type_that_says_nothing_is_refused(bad: object) -> None:
    """Where the task is made, not where it is enqueued."""
    with pytest.raises(ConfigError, match="type of a task"):
        Task(bad)  # type: ignore[arg-type]


def test_wrong_options_are_refused_where_the_task_is_made() -> None:
    """The traceback then points at the mistake."""
    with pytest.raises(ConfigError, match="did you mean 'max_retry'"):
        Task("email", max_retries=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("attribute", ["type", "payload", "headers", "id", "queue", "new"])
def test_a_task_does_not_change(attribute: str) -> None:
    """It is handed to middleware and handlers in turn."""
    with pytest.raises(AttributeError):
        setattr(Task("email"), attribute, "x")


def test_a_received_task_decodes_its_payload_when_asked() -> None:
    """A handler that does not look pays nothing; one that looks twice gets the same object."""
    task = received({"user_id": 42}, headers={"a": "1"})
    assert task.payload == {"user_id": 42}
    assert task.payload is task.payload
    assert (task.type, task.id, task.queue, dict(task.headers)) == ("email", "id1", "low", {"a": "1"})


def test_raw_is_the_bytes_in_redis() -> None:
    """On the client's side, those that would be written."""
    assert received(b"\x00").raw == b"\x00"
    assert received().raw == b""
    assert Task("email", {"a": 1}).raw == b"\x81\xa1a\x01"


def test_a_payload_that_cannot_be_decoded_names_its_task() -> None:
    """The error ends up in the archive, where somebody has to find the producer."""
    task = Task.received("low", "id1", Envelope("email", b"\xc1", "msgpack"))
    with pytest.raises(WireError, match=r"task 'id1' \(email\)"):
        _ = task.payload
    assert task.raw == b"\xc1"


def test_a_received_task_is_enqueued_again_byte_for_byte() -> None:
    """A handler may pass on what it cannot read, and headers travel along."""
    task = Task.received("low", "id1", Envelope("email", b"secret", "encrypted", headers={"a": "1"}))
    new = compose(task)
    assert (new.envelope.payload, new.envelope.codec, new.envelope.headers) == (
        b"secret",
        "encrypted",
        {"a": "1"},
    )
    assert (new.queue, new.id != "id1") == ("default", True)


@pytest.mark.parametrize(
    "task",
    [
        Task("email", {"a": 1}, queue="low"),
        Task("email"),
        received({"a": 1}, headers={"h": "1"}),
        received(b"x"),
    ],
)
def test_a_task_reaches_a_worker_process(task: Task) -> None:
    """Handlers in processes are given it like all others."""
    copy = pickle.loads(pickle.dumps(task))  # noqa: S301 - our own bytes
    assert copy == task
    assert copy.payload == task.payload
    assert dict(copy.headers) == dict(task.headers)


def test_tasks_are_equal_if_they_would_do_the_same() -> None:
    """For tests of users: `assert sent == Task(...)`."""
    assert Task("email", {"a": 1}, queue="low") == Task("email", {"a": 1}, queue="low")
    assert Task("email", {"a": 1}) != Task("email", {"a": 2})
    assert Task("email", {"a": 1}) != Task("email", {"a": 1}, queue="low")
    assert Task("email") != "email"


def test_a_task_shows_no_payload() -> None:
    """Reprs end up in logs, and payloads hold secrets."""
    assert repr(Task("email", "secret")) == "<Task 'email'>"
    assert repr(received("secret")) == "<Task 'email' id='id1' queue='low'>"


def test_task_info_shows_all_that_is_known() -> None:
    """With instants as aware datetimes."""
    envelope = Envelope(
        "email", b"\x01", "msgpack", max_retry=3, timeout=60.0, deadline=NOON.timestamp(), retention=9.0,
        expires_at=NOON.timestamp(), unique_key="email:", group="g", retry_policy="slow",
        headers={"a": "1"}, enqueued_at=NOON.timestamp(),
    )  # fmt: skip
    history = TaskHistory(
        retried=1, last_error="why", last_failed_at=NOON.timestamp(), completed_at=NOON.timestamp(),
        result=encode_result("json", b"[1]"),
        progress=Progress(1, 2, "half").encode(), deliveries=3, lost=1, is_orphaned=True,
    )  # fmt: skip
    info = TaskInfo("low", "id1", envelope, State.RETRY, next_at=NOON.timestamp(), history=history)
    assert (info.id, info.queue, info.type, info.state) == ("id1", "low", "email", "retry")
    assert (info.payload, info.raw, info.codec, dict(info.headers)) == (1, b"\x01", "msgpack", {"a": "1"})
    assert (info.max_retry, info.timeout, info.retention) == (3, 60.0, 9.0)
    assert (info.unique_key, info.group, info.retry_policy) == ("email:", "g", "slow")
    assert (info.retried, info.last_error, info.result, info.raw_result) == (1, "why", [1], b"[1]")
    assert info.progress == Progress(1, 2, "half")
    assert (info.deliveries, info.lost, info.is_orphaned) == (3, 1, True)
    assert {
        info.deadline, info.expires_at, info.enqueued_at, info.next_process_at, info.last_failed_at,
        info.completed_at,
    } == {NOON}  # fmt: skip


def test_task_info_says_none_for_what_never_was() -> None:
    """Not the year 1970."""
    info = TaskInfo("low", "id1", Envelope("email", b"secret"), State.PENDING)
    assert (info.deadline, info.next_process_at, info.completed_at, info.result) == (None,) * 4
    assert repr(info) == "<TaskInfo 'email' id='id1' queue='low' state=pending>"
    assert info == TaskInfo("low", "id1", Envelope("email", b"secret"), State.PENDING)
    assert info != TaskInfo("low", "id2", Envelope("email", b"secret"), State.PENDING)
