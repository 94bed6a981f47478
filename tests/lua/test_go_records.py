"""`go_server` and `go_entries`: what Go's tools read of us replaces what was there, and expires."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncq._wire.keys import GoKeys
from tests.lua.space import Space

GO = GoKeys()
SERVER, WORKERS, ENTRIES = GO.server("h:1:asyncq-s"), GO.running("h:1:asyncq-s"), GO.scheduler("h:1:asyncq-s")


def _server(space: Space, *workers: str, again: bool = False) -> Any:
    return space.run("go_server", [SERVER, WORKERS], 10, "info", *workers, again=again)


def _entries(space: Space, *entries: str, again: bool = False) -> Any:
    return space.run("go_entries", [ENTRIES], 20, *entries, again=again)


def _ttl(space: Space, key: str) -> int:
    return cast("int", space.client.ttl(key))


@pytest.mark.parametrize("again", [False, True])
def test_a_server_and_what_it_runs_take_the_place_of_what_was_there(space: Space, *, again: bool) -> None:
    """Sent again, it is the same."""
    _server(space, "gone", "x", "b", "old")
    assert _server(space, "a", "1", "b", "2", again=again) == "ok"
    assert space.everything() == {SERVER: "info", WORKERS: {"a": "1", "b": "2"}}
    assert 0 < _ttl(space, SERVER) <= 10
    assert 0 < _ttl(space, WORKERS) <= 10


def test_an_idle_server_has_no_workers(space: Space) -> None:
    """As in Go: the key is not there."""
    _server(space, "a", "1")
    assert _server(space) == "ok"
    assert space.everything() == {SERVER: "info"}


@pytest.mark.parametrize("count", [499, 500, 501, 1001])
def test_many_workers_go_in_several_pieces(space: Space, count: int) -> None:
    """Lua hands on some thousand values at once, and no more."""
    workers = [text for number in range(count) for text in (f"t{number}", "x")]
    _server(space, *workers)
    assert space.client.hlen(WORKERS) == count


def test_what_is_something_else_is_replaced(space: Space) -> None:
    """Nothing but ours is meant to be under these names."""
    space.client.sadd(SERVER, "x")
    space.client.set(WORKERS, "x")
    space.client.set(ENTRIES, "x")
    assert (_server(space, "a", "1"), _entries(space, "e")) == ("ok", "ok")
    assert space.everything() == {SERVER: "info", WORKERS: {"a": "1"}, ENTRIES: ["e"]}


@pytest.mark.parametrize("again", [False, True])
def test_entries_take_the_place_of_those_before(space: Space, *, again: bool) -> None:
    """In their order; sent again, they are the same."""
    _entries(space, "a", "b", "c")
    assert _entries(space, "c", "d", again=again) == "ok"
    assert space.everything() == {ENTRIES: ["c", "d"]}
    assert 0 < _ttl(space, ENTRIES) <= 20
    assert _entries(space) == "ok"
    assert space.everything() == {}


def test_many_entries_go_in_several_pieces(space: Space) -> None:
    """As above."""
    _entries(space, "old")
    _entries(space, *map(str, range(2001)))
    assert space.client.lrange(ENTRIES, 0, -1) == [str(number).encode() for number in range(2001)]
