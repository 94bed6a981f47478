"""From a task and options to what is written."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from asyncq._clock import now
from asyncq._compose import compose, info_of, new_id
from asyncq._wire.messages import Envelope, NewTask
from asyncq._wire.states import State
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError, PayloadError
from asyncq.options import CheckedOptions, TaskOptions
from asyncq.task import Task

NOON = datetime(2100, 3, 1, 12, tzinfo=UTC)


def composed(**options: object) -> NewTask:
    """Compose a task with these options for `enqueue`."""
    return compose(Task("email", b"x"), TaskOptions(**options))  # type: ignore[typeddict-item]


def test_a_task_without_options_has_the_defaults_of_asynq() -> None:
    """Queue default, 25 retries, 30 minutes."""
    before = now()
    new = compose(Task("email", b"x"))
    assert before <= new.envelope.enqueued_at <= now()
    assert new == NewTask("default", new.id, Envelope("email", b"x", enqueued_at=new.envelope.enqueued_at))
    assert (new.envelope.max_retry, new.envelope.timeout) == (25, 1800.0)


def test_every_option_finds_its_place() -> None:
    """And nothing else changes."""
    new = composed(
        queue="low", max_retry=0, timeout=0.5, deadline=NOON, process_at=NOON - timedelta(days=1), unique=60,
        task_id="order-7", retention=5, group="g", headers={"a": "1"}, expires_at=NOON, retry="slow",
    )  # fmt: skip
    assert new == NewTask(
        "low",
        "order-7",
        Envelope(
            "email", b"x", max_retry=0, timeout=0.5, deadline=NOON.timestamp(), retention=5.0,
            expires_at=NOON.timestamp(), unique_key="email:9dd4e461268c8034f5c8564e155c67a6", group="g",
            retry_policy="slow", headers={"a": "1"}, enqueued_at=new.envelope.enqueued_at,
            nonce=new.envelope.nonce,
        ),
        at=NOON.timestamp() - 86400,
        unique_ttl=60.0,
    )  # fmt: skip
    assert len(new.envelope.nonce) == 22


@pytest.mark.parametrize(
    ("options", "timeout"),
    [
        ({}, 1800.0),
        ({"deadline": NOON}, 0.0),
        ({"timeout": 0}, 0.0),
        ({"timeout": 0, "deadline": NOON}, 0.0),
        ({"timeout": 0.25}, 0.25),
        ({"timeout": 60, "deadline": NOON}, 60.0),
    ],
)
def test_the_default_timeout_is_for_tasks_without_any_limit(
    options: dict[str, object], timeout: float
) -> None:
    """A limit of nothing is only there if it was asked for."""
    assert composed(**options, queue="low").envelope.timeout == timeout


def test_what_enqueue_says_wins_over_the_task_and_the_task_over_the_client() -> None:
    """Later and nearer wins; headers are merged."""
    task = Task("email", queue="task", max_retry=1, headers={"a": "task"})
    defaults = CheckedOptions(
        queue="client", max_retry=9, retention=7.0, headers={"a": "client", "b": "client"}
    )
    new = compose(task, TaskOptions(queue="call"), defaults=defaults)
    assert (new.queue, new.envelope.max_retry, new.envelope.retention) == ("call", 1, 7.0)
    assert new.envelope.headers == {"a": "task", "b": "client"}


def test_a_wait_given_to_enqueue_replaces_the_instant_of_the_task() -> None:
    """It is no contradiction, since one is later than the other."""
    new = compose(Task("email", process_at=NOON), TaskOptions(process_in=5))
    assert (new.at, new.delay) == (0.0, 5.0)


def test_composing_twice_makes_two_tasks_that_share_nothing() -> None:
    """One `Task` object may be enqueued again and again."""
    task = Task("email", b"x", headers={"a": "1"})
    one, two = compose(task), compose(task)
    assert one.id != two.id
    one.envelope.headers["a"] = "2"
    assert two.envelope.headers == dict(task.headers) == {"a": "1"}


def test_the_unique_key_is_that_of_asynq() -> None:
    """The vectors of the Go library: an absent payload is not hashed, an empty one is."""

    def key(payload: object) -> str:
        return compose(Task("email", payload), TaskOptions(unique=60)).envelope.unique_key

    assert key(None) == "email:"
    assert key(b'{"id":1}') == "email:d2ce28b9a7fd7e4407e2b0fd499b7fe4"
    assert key(b"") == "email:d41d8cd98f00b204e9800998ecf8427e"


def test_an_expiry_can_be_relative() -> None:
    """It counts from the enqueue, by the clock of the client."""
    new = composed(expires_in=5)
    assert new.envelope.expires_at == new.envelope.enqueued_at + 5


@pytest.mark.parametrize(
    "options",
    [
        {"process_in": 10, "expires_in": 10},
        {"process_in": 10, "expires_in": 5},
        {"process_at": NOON, "deadline": NOON},
        {"process_at": NOON, "expires_at": NOON - timedelta(days=1)},
        {"process_in": timedelta(days=36_000), "deadline": NOON},
    ],
)
def test_a_task_that_would_always_be_too_late_is_refused(options: dict[str, object]) -> None:
    """It would only be scheduled to be dropped."""
    with pytest.raises(ConfigError, match="after the task is due"):
        composed(**options)


def test_a_due_time_in_the_past_is_now() -> None:
    """The clock that decides it is that of Redis, so the instant is passed on."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    assert composed(process_at=past, deadline=past).at == past.timestamp()
    assert composed(process_in=0).delay == 0.0


def test_a_payload_over_the_limit_is_refused_with_both_sizes() -> None:
    """And with what to do instead."""
    with pytest.raises(PayloadError, match=r"2,000 bytes and the limit is 1,999") as caught:
        compose(Task("email", b"x" * 2000), max_payload=1999)
    assert (caught.value.size, caught.value.limit, caught.value.type) == (2000, 1999, "email")
    assert compose(Task("email", b"x" * 2000), max_payload=2000)


def test_the_payload_is_encoded_by_the_codec_of_the_client() -> None:
    """Not by the one the task knew when it was made."""
    new = compose(Task("email", {"a": 1}), codecs=Codecs("json"))
    assert (new.envelope.codec, new.envelope.payload) == ("json", b'{"a":1}')


def test_info_says_what_was_enqueued() -> None:
    """It is what `enqueue` returns."""
    new = compose(Task("email", {"a": 1}), TaskOptions(queue="low"))
    info = info_of(new, "scheduled", NOON.timestamp())
    assert (info.id, info.queue, info.state, info.payload) == (new.id, "low", State.SCHEDULED, {"a": 1})
    assert info.next_process_at == NOON


def test_ids_are_22_characters_that_never_repeat() -> None:
    """Over many refills of the pool."""
    ids = [new_id() for _ in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {22}
    assert all(i.isascii() and i.isalnum() for i in ids)


def test_every_character_of_an_id_is_as_likely_as_any_other() -> None:
    """So the 22 characters are 131 random bits."""
    text = "".join(new_id() for _ in range(10_000))
    counts = [text.count(character) for character in set(text)]
    assert len(counts) == 62
    assert max(counts) / min(counts) < 1.25


def test_threads_never_get_the_same_id() -> None:
    """A blocking client is used from all of them at once."""
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend([new_id() for _ in range(5000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 20_000


def test_a_child_does_not_hand_out_the_ids_of_its_parent() -> None:
    """Web servers fork after the pool was filled."""
    new_id()  # the pool is filled now
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reading, 2200).decode()
    os.close(reading)
    os.close(writing)
    of_child = {text[i : i + 22] for i in range(0, 2200, 22)}
    assert len(of_child) == 100
    assert not of_child & {new_id() for _ in range(1000)}
