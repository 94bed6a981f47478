"""A full Redis: what each script does is the same as with memory, or refused as a whole (ADR 9)."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.lua.calls import Act
from tests.lua.scenes import Arrange
from tests.lua.space import Space

__all__ = ["assert_as_ever", "assert_refused_as_a_whole", "fill"]


def fill(client: Redis) -> None:
    """Let the memory in use be more than there may be."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "100kb")  # less than an empty server needs
    with pytest.raises(ResponseError, match="maxmemory"):
        client.set("is it full", "")


def assert_as_ever(space: Space, arrange: Arrange, act: Act) -> None:
    """Same answer, same keyspace as with memory."""
    arrange(space)
    expected = act(space)
    after = _state(space)
    space.client.flushall()

    arrange(space)
    fill(space.client)
    assert act(space) == expected
    assert _state(space) == after


def assert_refused_as_a_whole(space: Space, arrange: Arrange, act: Act, word: object) -> None:
    """Nothing is changed and nothing remembered: the same call gives `word` when there is room."""
    arrange(space)
    before = space.everything()
    fill(space.client)
    with pytest.raises(ResponseError, match="maxmemory"):
        act(space)
    assert space.everything() == before
    space.client.config_set("maxmemory", 0)
    assert act(space) == word
    assert space.everything() != before


def _state(space: Space) -> dict[str, Any]:
    """Return the keyspace, with its moments as tens of seconds from now."""
    now = space.now()

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: plain(float(item) if name.endswith("_at") else _without_times(name, item))
                for name, item in value.items()
            }
        return round((value - now) / 10) if isinstance(value, float) and value > 1e9 else value

    return {name: plain(value) for name, value in space.everything().items()}


def _without_times(name: str, item: Any) -> Any:
    """Return a field; of records of attempts without the times in them."""
    if name != "attempts":
        return item
    return [(row[0], *row[3:]) for row in msgpack.unpackb(item.encode("latin-1"))]
