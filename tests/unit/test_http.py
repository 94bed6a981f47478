"""What the small HTTP door understands, and how it treats those who do not behave."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

from asyncq import _http
from asyncq._http import HttpDoor, Listen, Page, PageMaker, Request, read_listen
from asyncq.errors import ConfigError
from tests.support.http import ask, raw
from tests.support.waiting import wait_until

LONG = 32 << 20
"""Bytes: more than the system takes for one who does not read."""


@asynccontextmanager
async def _door(pages: Mapping[str, PageMaker]) -> AsyncGenerator[HttpDoor]:
    async with HttpDoor(Listen("127.0.0.1", 0), pages).open() as door:
        yield door


def _hello(request: Request) -> Page:
    return Page(f"hello {request.query.get('name', '')}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8081", Listen("127.0.0.1", 8081)),
        ("localhost:0", Listen("localhost", 0)),
        ("[::1]:65535", Listen("::1", 65535)),
    ],
)
def test_an_address_is_read(text: str, expected: Listen) -> None:
    """And written the way it was given."""
    assert read_listen(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8081",
        ":8081",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhost:-1",
        "localhost:8o",
        "::1:80",
        "http://localhost:80",
        "[::1:80",
        "a b:80",
        "[]:80",
        "localhost:\u0661",
        8081,
        None,
    ],
)
def test_what_is_no_address_is_told_apart(text: object) -> None:
    """All interfaces are asked for by name, `0.0.0.0`, and not by leaving something out."""
    assert read_listen(text) is None


async def test_a_page_is_given() -> None:
    """With its length, and with a word that nobody keeps it."""
    async with _door({"/hello": _hello}) as door:
        answer = await ask(door.url, "/hello?name=w%C3%B6rld&x=1")
        assert (answer.status, answer.body) == (200, "hello wörld\n")
        assert answer.headers["Content-Length"] == str(len("hello wörld\n".encode()))
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Connection"] == "close"
        head = await ask(door.url, "/hello", method="HEAD")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, "", "7")
    assert door.url is None


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /hello HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"BREW /hello HTTP/1.1\r\n\r\n", 405),
        (b"GET /hello\r\n\r\n", 400),
        (b"GET /hello HTTP/2.0\r\n\r\n", 400),
        (b"GET http://elsewhere/hello HTTP/1.1\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /hello HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_is_wrong_is_said_with_its_status(request_: bytes, status: int) -> None:
    """And the next one is served as if nothing had been."""
    async with _door({"/hello": _hello}) as door:
        answer = await raw(door.url, request_)
        assert answer.status == status
        assert answer.body.strip()
        if status == 405:
            assert answer.headers["Allow"] == "GET, HEAD"
        if status == 404:
            assert "/hello" in answer.body
        assert (await ask(door.url, "/hello")).status == 200


async def test_a_page_that_fails_is_logged_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """Without its text, which may hold what is nobody's business."""

    def bad(request: Request) -> Page:
        raise ValueError("secret")

    async with _door({"/bad": bad, "/hello": _hello}) as door:
        answer = await ask(door.url, "/bad")
        assert answer.status == 500
        assert "secret" not in answer.body
        assert (await ask(door.url, "/hello")).status == 200
    (record,) = [one for one in caplog.records if getattr(one, "event", "") == "page_failed"]
    assert record.exc_info is not None
    assert record.levelno == logging.ERROR


async def test_a_page_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks gets an answer, and one that raises `TimeoutError` by itself is not taken for it."""
    monkeypatch.setattr(_http, "PAGE_PATIENCE", 0.05)

    async def hangs(request: Request) -> Page:
        await asyncio.Event().wait()
        return Page("")

    async def gives_up(request: Request) -> Page:
        raise TimeoutError

    async with _door({"/hangs": hangs, "/gives-up": gives_up}) as door:
        assert (await ask(door.url, "/hangs")).status == 504
        assert (await ask(door.url, "/gives-up")).status == 500


async def test_whoever_says_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that waits for ever would be one less."""
    monkeypatch.setattr(_http, "HEAD_PATIENCE", 0.05)
    async with _door({}) as door:
        assert (await raw(door.url, b"GET /slow")).status == 408


async def test_at_the_limit_the_oldest_that_says_nothing_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections must not cost a probe its answer: a 503 means `restart me`."""
    monkeypatch.setattr(_http, "MOST_CALLERS", 3)
    async with _door({"/hello": _hello}) as door:
        idle = [await asyncio.open_connection("127.0.0.1", _port(door)) for _ in range(3)]
        await wait_until(lambda: len(door._silent) == 3, "all to be seen")  # noqa: SLF001 - nobody else knows
        assert (await ask(door.url, "/hello")).status == 200
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                assert await idle[0][0].read() == b""
        idle[2][1].write(b"GET /hello HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(20):
            assert (await idle[2][0].read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in idle:
            writer.close()
            with suppress(ConnectionResetError):
                await writer.wait_closed()


async def test_too_many_that_wait_for_their_page_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is cut off who has asked. And when they have gone there is room again."""
    monkeypatch.setattr(_http, "MOST_CALLERS", 2)
    go_on, waiting = asyncio.Event(), 0

    async def waits(_: Request) -> Page:
        nonlocal waiting
        waiting += 1
        await go_on.wait()
        return Page("done\n")

    async with _door({"/waits": waits, "/hello": _hello}) as door:
        asked = [asyncio.ensure_future(ask(door.url, "/waits")) for _ in range(2)]
        await wait_until(lambda: waiting == 2, "both to be seen")
        assert (await ask(door.url, "/hello")).status == 503
        go_on.set()
        assert [(await one).status for one in asked] == [200, 200]

        async def has_room() -> bool:
            return (await ask(door.url, "/hello")).status == 200

        await wait_until(has_room, "room")


async def test_of_those_that_are_too_many_only_some_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """To refuse costs a connection for a second or two: a flood of callers must not take all there are."""
    monkeypatch.setattr(_http, "MOST_CALLERS", 1)
    monkeypatch.setattr(_http, "MOST_REFUSED", 2)
    monkeypatch.setattr(_http, "LINGER", 30.0)  # so that whoever is refused and stays counts all that time
    go_on, waiting = asyncio.Event(), asyncio.Event()

    async def waits(_: Request) -> Page:
        waiting.set()
        await go_on.wait()
        return Page("done\n")

    async with _door({"/waits": waits}) as door:
        asked = asyncio.ensure_future(ask(door.url, "/waits"))
        await waiting.wait()
        callers = [await asyncio.open_connection("127.0.0.1", _port(door)) for _ in range(6)]
        async with asyncio.timeout(20):
            told = [await _what_comes(reader) for reader, _ in callers]
        assert [one.startswith(b"HTTP/1.1 503 ") for one in told] == [True] * 2 + [False] * 4
        assert told[2:] == [b""] * 4
        assert len(door._inside) == 3  # noqa: SLF001 - nobody else knows
        for _, writer in callers:
            writer.close()
        go_on.set()
        assert (await asked).status == 200


async def _what_comes(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionResetError):
        return await reader.read()
    return b""


async def test_whoever_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the page is: what the system does not take must not wait in our memory for ever."""
    monkeypatch.setattr(_http, "WRITE_PATIENCE", 0.2)
    async with _door({"/long": _long}) as door:
        with _deaf(door) as caller:
            await wait_until(lambda: len(door._inside) == 1, "it to be seen")  # noqa: SLF001 - nobody else knows
            await wait_until(lambda: not door._inside, "it to be cut off")  # noqa: SLF001 - as above
            assert 0 < _length(caller) < LONG


async def test_closing_does_not_wait_for_one_who_does_not_read() -> None:
    """Neither for one that is being written to, nor for one that was not even looked at."""
    made = asyncio.Event()

    def long(request: Request) -> Page:
        made.set()
        return _long(request)

    with ExitStack() as callers:
        async with asyncio.timeout(5), _door({"/long": long}) as door:  # less than the patience of the door
            callers.enter_context(_deaf(door))
            await made.wait()
        async with _door({}) as door:
            _, writer = await asyncio.open_connection("127.0.0.1", _port(door))
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


def _port(door: HttpDoor) -> int:
    assert door.url is not None
    return int(door.url.rpartition(":")[2])


def _long(_: Request) -> Page:
    return Page(b"a" * LONG)


def _length(caller: socket.socket) -> int:
    """How much comes before the end."""
    length = 0
    with suppress(ConnectionResetError):
        while some := caller.recv(1 << 20):
            length += len(some)
    return length


@contextmanager
def _deaf(door: HttpDoor) -> Generator[socket.socket]:
    """A caller that asks for the long page and reads nothing of it."""
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", _port(door)))
        caller.sendall(b"GET /long HTTP/1.1\r\n\r\n")
        yield caller


async def test_closing_ends_those_who_are_inside() -> None:
    """The fixture of all tests looks that no asyncio task is left."""
    begun = asyncio.Event()

    async def hangs(request: Request) -> Page:
        begun.set()
        await asyncio.Event().wait()
        return Page("")

    async with _door({"/hangs": hangs}) as door:
        assert door.url is not None
        _, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]))
        writer.write(b"GET /hangs HTTP/1.1\r\n\r\n")
        await begun.wait()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("turns", range(5))
async def test_one_who_is_accepted_in_the_moment_of_closing_is_sent_away(turns: int) -> None:
    """Asyncio's own way leaves the socket open, after two turns of the loop."""
    with socket.socket() as caller:
        async with _door({}) as door:
            caller.connect(("127.0.0.1", _port(door)))  # the system accepts it, the loop has not seen it yet
            for _ in range(turns):
                await asyncio.sleep(0)
        caller.settimeout(10)
        assert await asyncio.to_thread(_length, caller) == 0


async def test_an_address_that_is_taken_is_refused_with_the_reason() -> None:
    """Under the name of its option."""
    async with _door({}) as door:
        assert door.url is not None
        other = HttpDoor(Listen("127.0.0.1", int(door.url.rpartition(":")[2])), {})
        with pytest.raises(ConfigError, match=r"probes.*in use") as raised:
            async with other.open():
                pass
        error: Any = raised.value
        assert error.option == "probes"
