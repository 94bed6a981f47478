"""The envelope of the asynq wire: there and back, and whatever else may lie in Redis."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq._wire import asynq
from asyncq._wire.messages import Envelope, Past
from asyncq._wire.protobuf import bytes_field, message_field, number_field, tag, text_field, varint
from asyncq.errors import WireError
from tests.support.asynq_messages import queue_and_id

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_seconds = st.floats(min_value=0, max_value=1e9) | st.integers(0, 10**9).map(float)
_instants = st.floats(min_value=1, max_value=1e10) | st.just(0.0)
_whole = st.integers(0, 10**10).map(float)
_pasts = st.builds(
    Past, retried=st.integers(0, 2**31 - 1), error=_text, failed_at=_whole, completed_at=_whole
)
_envelopes = st.builds(
    Envelope,
    type=_text,
    payload=st.binary(max_size=200),
    codec=st.sampled_from(["", "json", "msgpack", "raw", "ours"]),
    max_retry=st.integers(0, 2**31 - 1),
    timeout=_seconds,
    deadline=_instants,
    retention=_seconds,
    expires_at=_instants,
    unique_key=_text,
    group=_text,
    retry_policy=_text,
    headers=st.dictionaries(_text, _text, max_size=4),
    enqueued_at=_instants,
    nonce=_text,
    past=_pasts,
)


def _written(envelope: Envelope, queue: str = "q", task_id: str = "id") -> bytes:
    return b"".join(asynq.encode("asynq:", queue, task_id, envelope))


def _go(**changes: Any) -> bytes:
    """What Go would write for a task of these fields."""
    return asynq.encode("asynq:", "q", "id", replace(Envelope("t", b"{}", "json"), **changes))[0]


@given(_envelopes, _text, _text)
def test_what_was_written_is_read(envelope: Envelope, queue: str, task_id: str) -> None:
    """Every field, also where it has its default and where asynq has only whole seconds."""
    raw = _written(envelope, queue, task_id)
    assert asynq.decode(raw) == envelope
    assert queue_and_id(raw) == (queue, task_id)


@given(_envelopes)
def test_go_has_at_least_the_time_we_gave(envelope: Envelope) -> None:
    """Without `extra`, as Go reads it: rounded up, and never the 30 minutes of a task without a limit."""
    seen = asynq.decode(asynq.encode("asynq:", "q", "id", envelope)[0])
    no_limit = not envelope.timeout and not envelope.deadline
    assert seen.timeout == (asynq.NO_TIMEOUT if no_limit else math.ceil(envelope.timeout))
    assert seen.deadline == math.ceil(envelope.deadline)
    assert seen.retention == math.ceil(envelope.retention)


def test_a_usual_task_is_what_go_would_write() -> None:
    """To the byte; and with nothing beside it."""
    envelope = Envelope("email:send", b'{"id":1}', "json")
    assert asynq.encode("asynq:", "default", "11111111-2222-3333-4444-555555555555", envelope) == (
        bytes.fromhex(
            "0a0a656d61696c3a73656e6412087b226964223a317d1a2431313131313131312d323232322d333333332d3434"
            "34342d353535353535353535353535220764656661756c74281940880e"
        ),
        b"",
    )


def test_a_message_of_nothing_is_go_s_default() -> None:
    """Zero is left out, so no bytes are a message, too."""
    assert asynq.decode(b"") == Envelope("", b"", max_retry=0, timeout=1800, past=Past())


@pytest.mark.parametrize(
    ("payload", "codec", "needs_telling"),
    [(b"{}", "json", False), (b"{}", "", True), (b"{}", "raw", True), (b"", "", False), (b"", "mine", True)],
)
def test_the_codec_of_a_payload_is_json_unless_told(
    payload: bytes, codec: str, *, needs_telling: bool
) -> None:
    """Tasks of Go tell none, and no payload has none."""
    message, extra = asynq.encode("asynq:", "q", "id", Envelope("t", payload, codec))
    assert bool(extra) == needs_telling
    assert asynq.decode(message + extra).codec == codec
    assert asynq.decode(message).codec == ("json" if payload else "")


@pytest.mark.parametrize(
    ("ours", "written", "changed", "expected"),
    [
        ({"timeout": 0.5}, {"timeout": 1}, {"timeout": 7}, {"timeout": 7}),
        ({"timeout": 0}, {"timeout": asynq.NO_TIMEOUT}, {"timeout": 60}, {"timeout": 60}),
        ({"deadline": 99.5}, {"deadline": 100}, {"deadline": 99}, {"deadline": 99}),
        ({"retention": 1.25}, {"retention": 2}, {"retention": 0}, {"retention": 0}),
    ],
)
def test_what_go_changed_counts(
    ours: dict[str, Any], written: dict[str, Any], changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The exact value holds only while the rounded one is what we wrote."""
    _, extra = asynq.encode("asynq:", "q", "id", Envelope("t", b"{}", "json", **ours))
    for wrote, sees in ((written, ours), (changed, expected)):
        envelope = asynq.decode(_go(**wrote) + extra)
        assert {name: getattr(envelope, name) for name in sees} == sees


def test_a_deadline_alone_needs_no_timeout() -> None:
    """That is the one way in which Go can say no timeout."""
    message, extra = asynq.encode("asynq:", "q", "id", Envelope("t", b"", timeout=0, deadline=1e9))
    assert not extra
    assert number_field(8, asynq.NO_TIMEOUT) not in message
    assert asynq.decode(message).timeout == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (number_field(5, -1), {"max_retry": 0}),
        (number_field(5, 2**31), {"max_retry": 0}),
        (number_field(5, 2**32 + 3), {"max_retry": 3}),
        (number_field(8, -5), {"timeout": 0, "deadline": 1}),
        (number_field(9, -1), {"timeout": 0, "deadline": 1}),
        (number_field(8, 30) + number_field(9, -1), {"timeout": 30, "deadline": 1}),
        (number_field(9, 2**63 - 1), {"timeout": 0, "deadline": 253_402_300_799}),
        (number_field(8, 2**63 - 1), {"timeout": 10**10, "deadline": 0}),
        (number_field(12, -1), {"retention": 0}),
        (number_field(12, 2**63 - 1), {"retention": 10**10}),
        (number_field(6, -1), {"past": Past()}),
        (number_field(11, -1) + number_field(13, 2**62), {"past": Past(completed_at=253_402_300_799.0)}),
    ],
)
def test_numbers_that_cannot_be_meant_do_no_harm(fields: bytes, expected: dict[str, Any]) -> None:
    """Go takes any number; so the task can be run, and what is beyond our dates is brought back."""
    envelope = asynq.decode(fields)
    assert {name: getattr(envelope, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("queue", "suffix"),
    [("q", "t:d41d8cd98f00b204e9800998ecf8427e"), ("q", "t:"), ("a:unique:b", "x}:unique:y:0"), ("", "t:0")],
)
def test_the_lock_is_named_in_full(queue: str, suffix: str) -> None:
    """By the name that Go would release; ours leaves out what the queue says already."""
    message, _ = asynq.encode("p:", queue, "id", Envelope("t", b"", unique_key=suffix))
    assert f"p:{{{queue}}}:unique:{suffix}".encode() in message
    assert asynq.decode(message).unique_key == suffix


def test_a_lock_of_another_queue_is_none_of_ours() -> None:
    """It lies in another slot of a cluster; nothing there may be touched."""
    message = text_field(4, "q") + text_field(10, "asynq:{other}:unique:t:0")
    assert asynq.decode(message).unique_key == ""


def test_text_that_utf8_cannot_hold_is_replaced() -> None:
    """Go refuses a whole message for it: the error would be lost, and the task stuck."""
    envelope = Envelope(
        "t", b"", headers={"a\ud800": "\udcff"}, past=Past(error="no \udce4: 😀 \ud83d\ude00")
    )
    read = asynq.decode(_written(envelope))
    assert read.headers == {"a\ufffd": "\ufffd"}
    assert read.past == Past(error="no \ufffd: 😀 😀")


@given(_envelopes, st.lists(st.integers(16, 999) | st.integers(1001, 2**29 - 1), max_size=4), st.data())
def test_fields_of_the_future_are_passed_over(
    envelope: Envelope, numbers: list[int], data: st.DataObject
) -> None:
    """Of every kind, in any place between the others."""
    raw = b""
    for number in numbers:
        raw += data.draw(
            st.sampled_from(
                [
                    tag(number, 0) + varint(2**64 - 1),
                    tag(number, 1) + b"12345678",
                    message_field(number, b"anything"),
                    tag(number, 5) + b"1234",
                ]
            )
        )
    known = _written(envelope)
    assert asynq.decode(raw + known) == asynq.decode(known + raw) == envelope


def test_extra_of_the_future_is_passed_over() -> None:
    """An older server can run a newer client's tasks."""
    extra = bytes_field(asynq.EXTRA_NUMBER, msgpack.packb({2: 5.0, 99: {"new": [1]}, "name": 1}))
    assert asynq.decode(_go() + extra) == Envelope("t", b"{}", "json", enqueued_at=5.0, past=Past())


def _is_sound(envelope: Envelope) -> bool:
    numbers = (
        envelope.max_retry, envelope.timeout, envelope.deadline, envelope.retention, envelope.expires_at,
        envelope.enqueued_at,
    )  # fmt: skip
    texts = (envelope.type, envelope.codec, envelope.unique_key, envelope.group, envelope.retry_policy)
    return (
        all(0 <= number < 2**53 for number in numbers)
        and all(isinstance(text, str) for text in (*texts, envelope.nonce))
        and all(isinstance(part, str) for item in envelope.headers.items() for part in item)
        and isinstance(envelope.payload, bytes)
        and isinstance(envelope.past, Past)
        and 0 <= envelope.past.failed_at < 2**53
        and 0 <= envelope.past.completed_at < 2**53
        and 0 <= envelope.past.retried < 2**31
    )


@given(st.binary(max_size=300))
@example(b"\x0a")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x28" + b"\xff" * 10)
@example(b"\x28" + b"\x80" * 20 + b"\x01")
@example(b"\xc2\x3e\x02\x81\x91")
def test_any_bytes_are_an_envelope_or_an_error_of_ours(raw: bytes) -> None:
    """Whatever somebody wrote there: one damaged message must not stop a server."""
    with suppress(WireError):
        assert _is_sound(asynq.decode(raw))


@given(_envelopes, st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_message_is_one_or_an_error_of_ours(
    envelope: Envelope, where: int, what: bytes, removed: int
) -> None:
    """Some bytes replaced, put in or taken out of one that was sound."""
    raw = _written(envelope)
    where %= len(raw) + 1
    with suppress(WireError):
        assert _is_sound(asynq.decode(raw[:where] + what + raw[where + removed :]))


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 20), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.integers(0, 12) | st.text(max_size=2), _anything, max_size=5) | _anything)
def test_any_extra_is_one_or_an_error_of_ours(extra: Any) -> None:
    """And what is taken has the right types, in which nothing is infinite."""
    with suppress(WireError):
        assert _is_sound(asynq.decode(_go() + bytes_field(asynq.EXTRA_NUMBER, msgpack.packb(extra))))


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"\x0a\x05abc", "cut off"),
        (b"\x0a", "cut off"),
        (b"\x28\x80", "cut off"),
        (b"\x28\x80\x80\x80", "cut off inside a number"),
        (b"\x28" + b"\xff" * 9 + b"\x02", "64 bits"),
        (b"\x28" + b"\xff" * 11, "64 bits"),
        (b"\x99\x01\x00\x00", "cut off"),
        (b"\x9d\x01\x00\x00", "cut off"),
        (b"\x0b\x0c", "kind 3"),
        (b"\x0c", "kind 4"),
        (b"\x0e", "kind 6"),
        (b"\x02\x00", "number 0"),
        (b"\x80\x80\x80\x80\x10\x00", "number 536870912"),
        (b"\x0a\x01\xff", "UTF-8"),
        (b"\x1a\x02\xc3\x28", "UTF-8"),
        (b"\x22\x01\x80", "UTF-8"),
        (b"\x3a\x03\xed\xa0\x80", "UTF-8"),
        (b"\x7a\x03\x0a\x01\xff", "UTF-8"),
        (b"\x7a\x01\x0a", "cut off"),
    ],
)
def test_the_reason_says_what_is_wrong(raw: bytes, word: str) -> None:
    """It is stored with the archived task: short, and enough to find who wrote it."""
    with pytest.raises(WireError) as caught:
        asynq.decode(raw)
    assert caught.value.key == "msg"
    assert word in caught.value.reason


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ([1], "not a map"),
        ({1: 5}, "codec"),
        ({2: math.nan}, "enqueued_at"),
        ({2: -1}, "enqueued_at"),
        ({3: "never"}, "expires_at"),
        ({6: 2**53}, "timeout"),
        ({5: "x" * 1000, 4: b"x" * 1000}, "retry_policy"),
    ],
)
def test_the_reason_says_what_is_wrong_with_extra(extra: Any, word: str) -> None:
    """As with the message."""
    with pytest.raises(WireError) as caught:
        asynq.decode(_go() + bytes_field(asynq.EXTRA_NUMBER, msgpack.packb(extra)))
    assert caught.value.key == "extra"
    assert word in caught.value.reason
    assert len(caught.value.reason) < 200
