"""How large is a pending task, and what does its envelope cost to write and read?

First the envelope (`type`, a 100-byte payload and twelve mostly default fields) as a
msgpack array, a msgpack array without its trailing defaults, a msgpack map, and json.
Then Redis' memory per pending task for layouts of the task's hash: what `used_memory`
grows by when 50,000 tasks are pending (key, hash and place in the list), and what
`MEMORY USAGE` says of one key. Go asynq's layout is the yardstick.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack
from _bench import Bench, Variant, run

PAYLOAD = os.urandom(100)
TYPE = "email:welcome"
QUEUE = "default"
# The fields in the order of how often they differ from their default.
FIELDS: dict[str, Any] = {
    "version": 1,
    "type": TYPE,
    "payload": PAYLOAD,
    "enqueued_at": 1_763_700_000.123456,
    "max_retry": 25,
    "timeout": 1800,
    "codec": "msgpack",
    "retention": 0,
    "deadline": 0,
    "headers": {},
    "unique_key": "",
    "expires_at": 0,
    "group": "",
    "retry_policy": "",
    "nonce": "",
}
# How many of them say something for a task with no options given.
SPOKEN = 7


def go_message(task_id: str) -> bytes:
    """A `TaskMessage` as Go asynq encodes it: the protobuf fields that are not zero."""

    def text(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    return (
        text(1, TYPE.encode())
        + text(2, PAYLOAD)
        + text(3, task_id.encode())
        + text(4, QUEUE.encode())
        + bytes([5 << 3, 25])
        + bytes([8 << 3, 0x88, 0x0E])
    )


ARRAY = list(FIELDS.values())
ENVELOPE: bytes = msgpack.packb(ARRAY[:SPOKEN])
# When the defaults (25 retries, 1,800 s, the default codec) are left out too.
SHORT_ENVELOPE: bytes = msgpack.packb(ARRAY[:4])


def _json() -> bytes:
    return json.dumps(
        {**FIELDS, "payload": base64.b64encode(PAYLOAD).decode()}, separators=(",", ":")
    ).encode()


def _read_json(data: bytes) -> Any:
    fields = json.loads(data)
    fields["payload"] = base64.b64decode(fields["payload"])
    return fields


PACKER = msgpack.Packer()

CODECS: dict[str, tuple[Callable[[], bytes], Callable[[bytes], Any]]] = {
    "msgpack array": (lambda: msgpack.packb(ARRAY), msgpack.unpackb),
    "msgpack array, kept Packer": (lambda: PACKER.pack(ARRAY), msgpack.unpackb),
    "msgpack array, trailing defaults left out": (lambda: msgpack.packb(ARRAY[:SPOKEN]), msgpack.unpackb),
    "msgpack map": (lambda: msgpack.packb(FIELDS), msgpack.unpackb),
    "msgpack map, defaults left out": (
        lambda: msgpack.packb(dict(itertools.islice(FIELDS.items(), SPOKEN))),
        msgpack.unpackb,
    ),
    "json, payload in base64": (_json, _read_json),
}


async def measure_codec(name: str, count: int) -> Mapping[str, float]:
    """Bytes, and CPU to write and to read."""
    write, read = CODECS[name]
    data = write()
    started = time.process_time()
    for _ in range(count):
        write()
    written = time.process_time()
    for _ in range(count):
        read(data)
    ended = time.process_time()
    return {
        "bytes": len(data),
        "write µs": (written - started) / count * 1e6,
        "read µs": (ended - written) / count * 1e6,
    }


def task_ids(length: int, count: int) -> list[str]:
    """Ids that differ from their first characters on, of `length`."""
    return [os.urandom(18).hex()[:length].ljust(length, "0") for _ in range(count)]


Layout = Callable[[str], dict[str, bytes | str]]

SINCE = "1763700000123456789"


def _cut(message: bytes, size: int) -> dict[str, bytes | str]:
    return {f"m{start // size}": message[start : start + size] for start in range(0, len(message), size)}


# Name: (prefix, id length, fields by id). No fields: a string key instead of a hash.
LAYOUTS: dict[str, tuple[str, int, Layout]] = {
    "Go asynq: msg, state, pending_since": (
        "asynq:{default}:t:",
        36,
        lambda task_id: {"msg": go_message(task_id), "state": "pending", "pending_since": SINCE},
    ),
    "id 36: msg, state, pending_since": (
        "asyncq:{default}:t:",
        36,
        lambda _: {"msg": ENVELOPE, "state": "pending", "pending_since": SINCE},
    ),
    "id 36: msg, state": ("asyncq:{default}:t:", 36, lambda _: {"msg": ENVELOPE, "state": "pending"}),
    "id 36: msg": ("asyncq:{default}:t:", 36, lambda _: {"msg": ENVELOPE}),
    "id 22: msg, state, pending_since": (
        "asyncq:{default}:t:",
        22,
        lambda _: {"msg": ENVELOPE, "state": "pending", "pending_since": SINCE},
    ),
    "id 22: msg, state": ("asyncq:{default}:t:", 22, lambda _: {"msg": ENVELOPE, "state": "pending"}),
    "id 22: msg": ("asyncq:{default}:t:", 22, lambda _: {"msg": ENVELOPE}),
    f"id 22: msg of {len(SHORT_ENVELOPE)} bytes, all defaults left out": (
        "asyncq:{default}:t:",
        22,
        lambda _: {"msg": SHORT_ENVELOPE},
    ),
    f"id 22: msg of {len(SHORT_ENVELOPE)} bytes, state": (
        "asyncq:{default}:t:",
        22,
        lambda _: {"msg": SHORT_ENVELOPE, "state": "pending"},
    ),
    "id 22: msg in pieces of 60 (listpack), state": (
        "asyncq:{default}:t:",
        22,
        lambda _: {**_cut(ENVELOPE, 60), "state": "pending"},
    ),
    "id 22: a string, no hash": ("asyncq:{default}:t:", 22, lambda _: {}),
    "id 22: an active task: msg, state, delivery, deliveries": (
        "asyncq:{default}:t:",
        22,
        lambda _: {"msg": ENVELOPE, "state": "active", "delivery": "8f3c1a2b:1234567", "deliveries": "1"},
    ),
}


def write_tasks(bench: Bench, prefix: str, ids: Sequence[str], layout: Layout) -> None:
    """Write tasks in a layout, with their places in the list."""
    pipeline = bench.server.control.pipeline(transaction=False)
    for task_id in ids:
        fields = layout(task_id)
        if fields:
            pipeline.hset(prefix + task_id, mapping=fields)
        else:
            pipeline.set(prefix + task_id, ENVELOPE)
    pipeline.lpush(prefix.replace("t:", "pending"), *ids)
    pipeline.execute()


def settled_memory(bench: Bench) -> int:
    """Memory once tables are no longer being rehashed and buffers were given back."""
    pause = 0.01 if bench.short else 0.15
    seen = [bench.server.memory()]
    while len(seen) < 4 or max(seen[-4:]) - min(seen[-4:]) > 4096:
        time.sleep(pause)
        seen.append(bench.server.memory())
    return seen[-1]


async def measure_layout(bench: Bench, name: str, count: int) -> Mapping[str, float]:
    """Bytes per pending task."""
    prefix, length, layout = LAYOUTS[name]
    bench.server.flush()
    ids = task_ids(length, count)
    before = settled_memory(bench)
    for start in range(0, count, 1000):
        write_tasks(bench, prefix, ids[start : start + 1000], layout)
    used = (settled_memory(bench) - before) / count
    usage: Any = bench.server.control.memory_usage(prefix + ids[0])
    return {"used_memory per task": used, "MEMORY USAGE": float(usage)}


async def measure(bench: Bench) -> None:
    """The codecs, then the layouts."""

    def codec(name: str) -> Variant:
        return lambda: measure_codec(name, bench.size(50_000))

    bench.table("The envelope", await bench.interleave({name: codec(name) for name in CODECS}))

    # Memory does not drift, so once is enough.
    rows = {name: dict(await measure_layout(bench, name, bench.size(50_000))) for name in LAYOUTS}
    yardstick = next(iter(rows.values()))["used_memory per task"]
    for row in rows.values():
        row["of Go's"] = row["used_memory per task"] / yardstick
    bench.table(f"Memory per pending task, message of {len(ENVELOPE)} bytes", rows)


if __name__ == "__main__":
    run("codec", measure)
