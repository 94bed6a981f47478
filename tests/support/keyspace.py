"""The whole keyspace as plain Python values: what tests compare after they have acted."""

from __future__ import annotations

from typing import Any, cast

from redis import Redis
from redis.cluster import RedisCluster

__all__ = ["snapshot"]


def snapshot(client: Redis | RedisCluster, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return every key with its value: `str`, `list`, `set`, or `dict` for hashes and sorted sets.

    Bytes that are no UTF-8 are shown as what they would be in Latin-1.

    Args:
        client: Of a single server or of a cluster, with or without `decode_responses`.
        without: Parts of names of keys that are left out.
    """
    found: dict[str, Any] = {}
    any_client = cast("Any", client)
    for raw in any_client.scan_iter(count=1000):
        key = _text(raw)
        if any(part in key for part in without):
            continue
        value = _value(any_client, raw)
        if value is not None:
            found[key] = value
    return found


def _value(client: Any, key: bytes) -> Any:
    match _text(client.type(key)):
        case "string":
            found = client.get(key)
            return None if found is None else _text(found)  # it may have expired since
        case "list":
            return [_text(item) for item in client.lrange(key, 0, -1)]
        case "set":
            return {_text(item) for item in client.smembers(key)}
        case "zset":
            return {_text(item): score for item, score in client.zrange(key, 0, -1, withscores=True)}
        case "hash":
            return {_text(name): _text(value) for name, value in client.hgetall(key).items()}
        case "none":
            return None  # it went away between two looks
        case other:
            message = f"{key!r} is a {other}"
            raise TypeError(message)


def _text(value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
