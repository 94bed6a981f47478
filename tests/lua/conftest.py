"""The arrangement that every test of a script starts from."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.lua.space import Space


@pytest.fixture
def space(redis_client: Redis) -> Space:
    """An empty keyspace."""
    return Space(redis_client)
