"""What the small HTTP door understands, and how it treats those who do not behave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncq import _http
from asyncq._http import HttpDoor, Listen, Page, PageMaker, Request, read_listen
from asyncq.errors import ConfigError
from tests.support.http import ask, raw
from tests.support.waiting import wait_until


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


async def test_too_many_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when they have gone there is room again."""
    monkeypatch.setattr(_http, "MOST_CALLERS", 2)
    async with _door({"/hello": _hello}) as door:
        assert door.url is not None
        port = int(door.url.rpartition(":")[2])
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await wait_until(lambda: door._count == 2, "both to be seen")  # noqa: SLF001 - nobody else knows
        assert (await ask(door.url, "/hello")).status == 503
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()

        async def has_room() -> bool:
            return (await ask(door.url, "/hello")).status == 200

        await wait_until(has_room, "room")


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
