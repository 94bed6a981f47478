"""What a server says to Go's tools is bounded, whatever it runs."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncq._broker.deliver import Delivery
from asyncq._engine.go_heartbeat import LONGEST_PAYLOAD, MOST_SHOWN, PAYLOADS, records
from asyncq._engine.measures import Series
from asyncq._engine.run import Run
from asyncq._wire.asynq_records import NEVER, Timestamp, excerpt
from asyncq._wire.messages import Envelope
from asyncq.context import Context, Host
from asyncq.task import Task

_SAID = {
    "host": "h",
    "pid": 7,
    "status": "active",
    "concurrency": 10,
    "queues": {"default": 2},
    "strict": True,
    "started_at": 12.5,
}


def _run(number: int, payload: bytes, deadline: float = 0.0) -> Run:
    envelope = Envelope("report", payload, "json")
    delivery = Delivery(
        queue="low", id=f"t{number}", token=f"s:{number}", now=100.25, retried=0, deliveries=0, lost=0,
        envelope=envelope, unreadable="",
    )  # fmt: skip
    context = Context(Host("s", cast("Any", None)), envelope, delivery, deadline)
    series = Series("low", "report")
    return Run(
        delivery, envelope, Task("report"), context, series, ends_at=0.0, limit="timeout", started_at=0.0
    )


def test_a_running_task_is_said_as_go_says_it() -> None:
    """With its payload, since when it runs, and until when it may."""
    info, (worker,) = records("s", _SAID, [_run(1, b"{}", deadline=160.25)])
    assert (info.host, info.pid, info.server_id, info.concurrency, info.active) == ("h", 7, "s", 10, 1)
    assert (info.queues, info.is_strict, info.started) == ({"default": 2}, True, Timestamp(12, 500_000_000))
    assert (worker.server_id, worker.task_id, worker.task_type, worker.queue) == ("s", "t1", "report", "low")
    assert (worker.payload, worker.started) == (b"{}", Timestamp(100, 250_000_000))
    assert worker.deadline == Timestamp(160, 250_000_000)
    assert records("s", _SAID, [_run(1, b"")])[1][0].deadline == NEVER


@pytest.mark.parametrize(
    ("ours", "gos"),
    [("starting", "new"), ("active", "active"), ("stopped", "stopped"), ("leaving", "closed")],
)
def test_the_status_is_a_word_of_go(ours: str, gos: str) -> None:
    """Go has four."""
    assert records("s", {**_SAID, "status": ours}, [])[0].status == gos


def test_many_tasks_and_large_payloads_do_not_make_it_large() -> None:
    """It is written every five seconds."""
    (one,) = records("s", _SAID, [_run(1, b"x" * 10_000)])[1]
    assert len(one.payload) == LONGEST_PAYLOAD
    info, workers = records("s", _SAID, [_run(number, b"x" * 10_000) for number in range(MOST_SHOWN + 5)])
    assert info.active == MOST_SHOWN + 5
    assert [worker.task_id for worker in workers] == [f"t{number}" for number in range(MOST_SHOWN)]
    assert sum(len(worker.payload) for worker in workers) <= PAYLOADS


@pytest.mark.parametrize("text", ["x" * 9, "äöü" * 5, "€" * 5, "😀" * 5])
@pytest.mark.parametrize("most", range(1, 9))
def test_an_excerpt_of_text_is_text(text: str, most: int) -> None:
    """Tools show a payload that is no text as such, and nothing of it."""
    raw = text.encode()
    found = excerpt(raw, most)
    assert raw.startswith(found)
    assert most - 4 < len(found) <= most
    assert text.startswith(found.decode())


def test_an_excerpt_of_bytes_is_as_long_as_it_may_be() -> None:
    """Nearly: bytes that look like the rest of a character are left out."""
    assert excerpt(b"\x80" * 100, 50) == b"\x80" * 46
    assert excerpt(b"\xff" * 100, 50) == b"\xff" * 50
    assert excerpt(b"abc", 3) == b"abc"
