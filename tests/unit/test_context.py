"""What a handler may know and say."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from asyncq._wire.messages import Envelope
from asyncq._wire.native import decode_result
from asyncq.codecs import Codecs, JsonCodec
from asyncq.context import CURRENT, Context, Host, current_context
from asyncq.errors import NotStartedError, PayloadError
from asyncq.task_info import Progress


@dataclass
class _Handed:
    queue: str = "q"
    id: str = "i"
    token: str = "s:1"
    retried: int = 2
    deliveries: int = 5
    lost: int = 1


class _Notes:
    def __init__(self) -> None:
        self.written: list[object] = []

    def progress(self, context: Context, value: Progress) -> None:
        self.written.append(value)

    def result(self, context: Context, value: bytes) -> Awaitable[None]:
        async def write() -> None:
            self.written.append(value)

        return write()


@pytest.fixture
def notes() -> _Notes:
    """Where reports go."""
    return _Notes()


@pytest.fixture
def context(notes: _Notes) -> Context:
    """The third attempt at a task."""
    envelope = Envelope("t", b"", max_retry=2, headers={"trace": "x"})
    return Context(Host("s", notes, Codecs(JsonCodec())), envelope, _Handed(), 1.7e9)


def test_it_says_which_task_this_is_and_how_far(context: Context) -> None:
    """All in the words of the rest of the API."""
    assert (context.id, context.queue, context.type, context.token) == ("i", "q", "t", "s:1")
    assert (context.attempt, context.retried, context.max_retry, context.is_last_attempt) == (3, 2, 2, True)
    assert (context.deliveries, context.lost, context.server_id) == (5, 1, "s")
    assert context.headers == {"trace": "x"}
    assert context.deadline == datetime.fromtimestamp(1.7e9, UTC)
    assert repr(context) == "<Context 't' id='i' queue='q' attempt=3>"


def test_a_task_without_a_limit_has_no_deadline(notes: _Notes) -> None:
    """And not one in 1970."""
    assert Context(Host("s", notes), Envelope("t", b""), _Handed(), 0.0).deadline is None


def test_it_is_at_hand_in_a_handler_and_nowhere_else(context: Context) -> None:
    """Whatever a handler calls need not be passed it."""
    with pytest.raises(NotStartedError):
        current_context()

    def handler() -> Context:
        CURRENT.set(context)
        return current_context()

    assert contextvars.copy_context().run(handler) is context


def test_a_thread_can_wait_for_its_cancellation(context: Context) -> None:
    """It cannot be interrupted, so it has to look, or wait."""
    assert not context.wait_cancelled(0)
    assert not context.is_cancelled
    heard: list[bool] = []
    thread = threading.Thread(target=lambda: heard.append(context.wait_cancelled(10)))
    thread.start()
    context.cancel("timeout")
    thread.join()
    assert heard == [True]
    assert context.wait_cancelled(0)
    assert (context.is_cancelled, context.cancel_reason) == (True, "timeout")


def test_many_threads_may_wait(context: Context) -> None:
    """Whoever comes first makes the event; nobody may be left with another one."""
    for _ in range(100):
        fresh = Context(context._host, context._envelope, context._delivery, 0.0)  # noqa: SLF001 - a copy
        heard: list[bool] = []
        threads = [threading.Thread(target=lambda: heard.append(fresh.wait_cancelled(120))) for _ in range(4)]  # noqa: B023 - joined below
        for thread in threads:
            thread.start()
        fresh.cancel("shutdown")
        for thread in threads:
            thread.join(30)
        assert heard == [True] * 4


async def test_reports_go_to_the_server(context: Context, notes: _Notes) -> None:
    """Progress as it is, results encoded by the server's codec."""
    context.progress(1, 2, "half")
    size = await context.write_result({"n": 1})
    progress, result = notes.written
    assert progress == Progress(1, 2, "half")
    assert isinstance(result, bytes)
    assert decode_result(result) == ("json", b'{"n":1}')
    assert 0 < size <= len(result)
    with pytest.raises(PayloadError):
        await context.write_result(object())
