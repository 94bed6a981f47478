"""The whole keyspace as plain Python values: what tests compare after they have acted."""

from __future__ import annotations

import contextlib
import math
from typing import Any, cast

from redis import Redis
from redis.cluster import RedisCluster

from asyncq._wire import asynq, asynq_hash, native
from asyncq._wire.keys import ASYNQ_PREFIX, NATIVE_PREFIX
from asyncq.errors import WireError

__all__ = ["read_task", "snapshot"]

_OURS_BESIDE_GO = ASYNQ_PREFIX + NATIVE_PREFIX


def snapshot(
    client: Redis | RedisCluster, *, without: tuple[str, ...] = (), as_it_is: bool = False
) -> dict[str, Any]:
    """Return every key with its value: `str`, `list`, `set`, or `dict` for hashes and sorted sets.

    Of a stream it is a list of the fields of its records, without their ids.

    Bytes that are no UTF-8 are shown as what they would be in Latin-1. What is there in the asynq wire is
    shown as it would be in the native one; but for `ready_at`, which every pending task has there.

    Args:
        client: Of a single server or of a cluster, with or without `decode_responses`.
        without: Parts of names of keys that are left out.
        as_it_is: Show the asynq wire as it is, for those who look at just that.
    """
    any_client = cast("Any", client)
    keys = [
        key
        for key in any_client.scan_iter(count=1000)
        if not any(part in _native_name(_text(key)) for part in without)
    ]
    # Two round trips for all of them: a test looks at its keyspace several times.
    with any_client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        found = zip(keys, map(_text, pipe.execute()), strict=True)
        # What went away since the scan may be there again a moment later, as whatever it then is.
        kind_of = {key: kind for key, kind in found if kind != "none"}
        for key, kind in kind_of.items():
            _ask(pipe, key, kind)
        answers = pipe.execute()
    for number, (key, kind) in enumerate(kind_of.items()):
        if as_it_is:
            break
        if _text(key).startswith(ASYNQ_PREFIX) and "}:t:" in _text(key) and kind == "hash":
            answers[number] = _native_hash(answers[number])
    values = {
        _text(key): _plain(kind, value) for (key, kind), value in zip(kind_of.items(), answers, strict=True)
    }
    there = {key: value for key, value in values.items() if value is not None}
    return there if as_it_is else _native_places(there)


def read_task(client: Redis | RedisCluster, key: str) -> dict[bytes, bytes]:
    """Return the hash of a task, whose key may be given as it is in the native wire, as it would be there."""
    any_client = cast("Any", client)
    found = any_client.hgetall(key)
    return found or _native_hash(any_client.hgetall(key.replace(NATIVE_PREFIX, ASYNQ_PREFIX, 1)))


def _native_name(key: str) -> str:
    if key.startswith(_OURS_BESIDE_GO):
        return key.removeprefix(ASYNQ_PREFIX)
    return NATIVE_PREFIX + key.removeprefix(ASYNQ_PREFIX) if key.startswith(ASYNQ_PREFIX) else key


def _native_hash(found: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The hash of a task of the asynq wire; any other is left as it is."""
    if b"msg" not in found:
        return found
    fields = asynq_hash.read_fields({name.decode(): value for name, value in found.items()})
    with contextlib.suppress(WireError):
        envelope = asynq.decode(fields["msg"])
        fields["msg"] = native.encode(envelope)
    return {name.encode(): value for name, value in fields.items()}


def _native_places(found: dict[str, Any]) -> dict[str, Any]:
    """Fail if what is beside Go's sets does not agree with them."""
    for key in [key for key in found if key.endswith("}:active")]:
        lease = found.get(key.removesuffix("active") + "lease", {})
        active = found.pop(key)
        assert sorted(active) == sorted(lease), f"active are {active}, and leased {lease}"
    for key in [key for key in found if key.endswith(":moments")]:
        scores = found.get(key.removesuffix(":moments"), {})
        for task_id, moment in found.pop(key).items():
            if scores.get(task_id) == math.ceil(moment):
                scores[task_id] = moment
    return {_native_name(key): value for key, value in found.items()}


def _ask(pipe: Any, key: bytes, kind: str) -> None:
    match kind:
        case "string":
            pipe.get(key)
        case "list":
            pipe.lrange(key, 0, -1)
        case "set":
            pipe.smembers(key)
        case "zset":
            pipe.zrange(key, 0, -1, withscores=True)
        case "hash":
            pipe.hgetall(key)
        case "stream":
            pipe.xrange(key)
        case other:
            message = f"{key!r} is a {other}"
            raise TypeError(message)


def _plain(kind: str, value: Any) -> Any:
    """What was answered as plain values; `None` for a key that went away between two looks."""
    match kind:
        case "string":
            return None if value is None else _text(value)
        case "list":
            return [_text(item) for item in value]
        case "set":
            return {_text(item) for item in value}
        case "zset":
            return {_text(item): score for item, score in value}
        case "stream":
            return [{_text(name): _text(item) for name, item in fields.items()} for _, fields in value]
        case _:
            return {_text(name): _text(item) for name, item in value.items()}


def _text(value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
