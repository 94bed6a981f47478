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
    any_client = cast("Any", client)
    keys = [
        key for key in any_client.scan_iter(count=1000) if not any(part in _text(key) for part in without)
    ]
    # Two round trips for all of them: a test looks at its keyspace several times.
    with any_client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        kinds = [_text(kind) for kind in pipe.execute()]
        for key, kind in zip(keys, kinds, strict=True):
            _ask(pipe, key, kind)
        answers = pipe.execute()
    values = {_text(key): _plain(kind, value) for key, kind, value in zip(keys, kinds, answers, strict=True)}
    return {key: value for key, value in values.items() if value is not None}


def _ask(pipe: Any, key: bytes, kind: str) -> None:
    match kind:
        case "string" | "none":
            pipe.get(key)
        case "list":
            pipe.lrange(key, 0, -1)
        case "set":
            pipe.smembers(key)
        case "zset":
            pipe.zrange(key, 0, -1, withscores=True)
        case "hash":
            pipe.hgetall(key)
        case other:
            message = f"{key!r} is a {other}"
            raise TypeError(message)


def _plain(kind: str, value: Any) -> Any:
    """What was answered as plain values; `None` for a key that went away between two looks."""
    match kind:
        case "none" | "string":
            return None if value is None else _text(value)
        case "list":
            return [_text(item) for item in value]
        case "set":
            return {_text(item) for item in value}
        case "zset":
            return {_text(item): score for item, score in value}
        case _:
            return {_text(name): _text(item) for name, item in value.items()}


def _text(value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
