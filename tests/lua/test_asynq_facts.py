"""What scripts make of the messages of Go's asynq: the same as Python does, and every other byte stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

from asyncq._wire import asynq
from asyncq._wire.asynq import encode
from asyncq._wire.keys import ASYNQ_PREFIX
from asyncq._wire.messages import Envelope, Past
from asyncq._wire.protobuf import BYTES, NUMBER, scan, tag, varint
from asyncq.errors import WireError
from tests.architecture.repository import SCRIPTS

NUMBERS = {"retried": 48, "failed_at": 88, "completed_at": 104}
TEXTS = {"error": 58, "lock": 82, "group": 114}
OF_THE_PAST = (48, 58, 88, 104)

many = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _piece(name: str) -> str:
    return (SCRIPTS / "asynq" / f"_{name}.lua").read_text("utf-8")


READ = (
    _piece("facts")
    + "local found = facts(ARGV[1]) local reply = {} "
    + "for t, v in pairs(found) do reply[#reply + 1] = t "
    + "reply[#reply + 1] = type(v) == 'number' and string.format('%.0f', v) or v end return reply"
)
WRITE = _piece("facts") + (
    "local changes = {} for i = 2, #ARGV, 2 do local t, v = tonumber(ARGV[i]), ARGV[i + 1] "
    "changes[t] = v ~= '' and (t % 8 == 0 and tonumber(v) or v) end return ({facts(ARGV[1], changes)})[2]"
)


def _read(client: Redis, message: bytes) -> dict[int, bytes]:
    found: Any = client.eval(READ, 0, message)
    return dict(zip(found[::2], found[1::2], strict=True))


def _write(client: Redis, message: bytes, changes: dict[int, object]) -> bytes:
    args: Any = [item for pair in changes.items() for item in pair]
    changed: Any = client.eval(WRITE, 0, message, *args)
    return bytes(changed)


instants = st.integers(0, 253_402_300_799)
pasts = st.builds(
    Past, st.integers(0, 2**31 - 1), st.text(max_size=200), instants.map(float), instants.map(float)
)
envelopes = st.builds(
    Envelope,
    type=st.text(max_size=20),
    payload=st.binary(max_size=300),
    codec=st.just("json"),
    max_retry=st.integers(0, 2**31 - 1),
    timeout=st.integers(0, 10**9),
    deadline=st.integers(0, 10**9),
    retention=st.integers(0, 10**9),
    unique_key=st.sampled_from(["", "work:", "work:d41d8cd98f00b204e9800998ecf8427e"]),
    group=st.text(max_size=20),
    headers=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    past=st.one_of(st.none(), pasts),
)
unknown = st.one_of(
    st.builds(lambda n, v: tag(n, NUMBER) + varint(v), st.integers(16, 2**29 - 1), st.integers(0, 2**64 - 1)),
    st.builds(
        lambda n, v: tag(n, BYTES) + varint(len(v)) + v, st.integers(16, 2**29 - 1), st.binary(max_size=300)
    ),
    st.builds(lambda n, v: tag(n, 1) + v, st.integers(1, 2**29 - 1), st.binary(min_size=8, max_size=8)),
    st.builds(lambda n, v: tag(n, 5) + v, st.integers(1, 2**29 - 1), st.binary(min_size=4, max_size=4)),
    # Fields of ours, of another kind than they have: to protobuf these are others.
    st.sampled_from([tag(6, BYTES) + b"\x01x", tag(7, NUMBER) + b"\x05", tag(10, NUMBER) + b"\x01"]),
)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Cut a message into its fields, each with its bytes."""
    found, at = [], 0
    while at < len(message):
        for end in range(at + 2, len(message) + 1):
            try:
                parts = scan(message[at:end], (), "msg")
            except WireError:
                continue
            found.append((next(iter(parts)), message[at:end]))
            at = end
            break
        else:
            pytest.fail("no message")
    return found


@many
@given(envelopes, st.lists(unknown, max_size=4), st.randoms())
def test_scripts_read_what_python_reads(
    redis_client: Redis, envelope: Envelope, more: list[bytes], random: Any
) -> None:
    """Numbers and texts, whatever stands between them, and in whatever order."""
    message = encode(ASYNQ_PREFIX, "q", "a", envelope)[0]
    pieces = [part for _, part in _fields(message)] + more
    random.shuffle(pieces)
    message = b"".join(pieces)
    known, found = scan(message, (), "msg"), _read(redis_client, message)
    for field in NUMBERS.values():
        assert int(found.get(field, 0)) == pytest.approx(known.get(field, 0))
    for field in TEXTS.values():
        assert found.get(field, b"") == known.get(field, b"")


@many
@given(st.binary(max_size=30))
@example(b"")
@example(b"\xff" * 9 + b"\x01")
@example(b"\x30" + b"\xff" * 9 + b"\x01")
@example(b"\x30" + b"\xff" * 9 + b"\x02")
@example(b"\x12" + b"\xff" * 9 + b"\x01")
@example(b"\x00\x00")
@example(b"\x33")
def test_scripts_refuse_what_python_refuses(redis_client: Redis, message: bytes) -> None:
    """Where they differed, one would archive as unreadable what the other goes on with."""
    try:
        scan(message, (), "msg")
    except WireError:
        with pytest.raises(ResponseError, match="not a message"):
            _read(redis_client, message)
    else:
        _read(redis_client, message)


@many
@given(envelopes, st.lists(unknown, max_size=4), pasts, st.randoms())
def test_a_change_keeps_every_other_byte(
    redis_client: Redis, envelope: Envelope, more: list[bytes], past: Past, random: Any
) -> None:
    """What a newer Go writes there, too; and it is written as Go reads it."""
    pieces = [part for _, part in _fields(encode(ASYNQ_PREFIX, "q", "a", envelope)[0])] + more
    random.shuffle(pieces)
    message = b"".join(pieces)
    changes: dict[int, object] = {
        48: past.retried, 58: past.error, 88: int(past.failed_at), 104: int(past.completed_at),
    }  # fmt: skip
    changed = _write(redis_client, message, changes)
    before = [part for field, part in _fields(message) if field not in OF_THE_PAST]
    after = [part for field, part in _fields(changed) if field not in OF_THE_PAST]
    assert after == before
    try:
        expected = replace(asynq.decode(message), past=None)
    except WireError:
        return
    assert replace(asynq.decode(changed), past=None) == expected
    assert (asynq.decode(changed).past or Past()) == past


@given(pasts)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_taken_out_leaves_no_trace(redis_client: Redis, past: Past) -> None:
    """So a task that has run is known again by whoever enqueued it."""
    fresh = encode(ASYNQ_PREFIX, "q", "a", Envelope("work", b"{}", "json", group="g", retention=5))[0]
    run = _write(redis_client, fresh, {48: past.retried, 58: past.error, 88: int(past.failed_at)})
    assert _write(redis_client, run, dict.fromkeys(OF_THE_PAST, "")) == fresh


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2**20])
def test_texts_of_any_length(redis_client: Redis, size: int) -> None:
    """Lengths have one byte or several."""
    message = encode(ASYNQ_PREFIX, "q", "a", Envelope("work", b"p" * size, "json"))[0]
    changed = _write(redis_client, message, {58: "e" * size})
    found = asynq.decode(changed)
    assert (found.payload, (found.past or Past()).error) == (b"p" * size, "e" * size)
