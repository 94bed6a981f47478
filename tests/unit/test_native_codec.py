"""The native envelope: there and back, and whatever else may lie in Redis."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq._wire import native
from asyncq._wire.messages import Envelope
from asyncq.errors import WireError

_text = st.text(max_size=30)
_seconds = st.floats(min_value=0, max_value=1e12)
_envelopes = st.builds(
    Envelope,
    type=_text,
    payload=st.binary(max_size=200),
    codec=_text,
    max_retry=st.integers(0, 2**31 - 1),
    timeout=_seconds,
    deadline=_seconds,
    retention=_seconds,
    expires_at=_seconds,
    unique_key=_text,
    group=_text,
    retry_policy=_text,
    headers=st.dictionaries(_text, _text, max_size=4),
    enqueued_at=_seconds,
    nonce=_text,
)


@given(_envelopes)
def test_what_was_written_is_read(envelope: Envelope) -> None:
    """Every field, also where it has its default."""
    assert native.decode(native.encode(envelope)) == envelope


def test_a_plain_task_costs_few_bytes() -> None:
    """Only what differs from the default is stored."""
    assert len(native.encode(Envelope("email:welcome", b"x" * 100, enqueued_at=1.7e9))) <= 100 + 13 + 15


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x94\x01\xa1t\xa1p\xcb")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 5000)
def test_any_bytes_are_an_envelope_or_an_error_of_ours(raw: bytes) -> None:
    """Whatever somebody wrote there: one damaged message must not stop a server."""
    with suppress(WireError):
        assert isinstance(native.decode(raw), Envelope)


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 20), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    version=st.just(1) | _anything,
    type_name=st.just("t") | _anything,
    payload=st.just(b"p") | _anything,
    enqueued_at=st.just(1.0) | _anything,
    extra=st.dictionaries(st.integers(0, 15), _anything, max_size=5) | _anything,
)
def test_any_array_is_an_envelope_or_an_error_of_ours(
    version: Any, type_name: Any, payload: Any, enqueued_at: Any, extra: Any
) -> None:
    """And what is taken for an envelope has fields of the right types, in which nothing is infinite."""
    raw = msgpack.packb([version, type_name, payload, enqueued_at, extra], use_bin_type=True)
    try:
        envelope = native.decode(raw)
    except WireError:
        return
    for name in ("timeout", "deadline", "retention", "expires_at", "enqueued_at", "max_retry"):
        number = getattr(envelope, name)
        assert math.isfinite(number), name
        assert number >= 0, name
    assert all(isinstance(part, str) for item in envelope.headers.items() for part in item)
    assert isinstance(envelope.payload, bytes)


@pytest.mark.parametrize(
    ("items", "word"),
    [
        ([2, "t", b"", 0.0], "version 2"),
        (["1", "t", b"", 0.0], "version"),
        ([1, "t", b""], "four items"),
        ({"1": "t"}, "four items"),
        ([1, b"t", b"", 0.0], "type"),
        ([1, "t", "text", 0.0], "payload"),
        ([1, "t", b"", "now"], "time"),
        ([1, "t", b"", math.nan], "time"),
        ([1, "t", b"", 0.0, [1]], "not a map"),
        ([1, "t", b"", 0.0, {2: "many"}], "max_retry"),
        ([1, "t", b"", 0.0, {2: -1}], "max_retry"),
        ([1, "t", b"", 0.0, {3: math.inf}], "timeout"),
        ([1, "t", b"", 0.0, {5: math.nan}], "retention"),
        ([1, "t", b"", 0.0, {10: {"a": 1}}], "headers"),
        ([1, "t", b"", 0.0, {10: {"x" * 1000: b""}}], "headers"),
    ],
)
def test_the_reason_says_what_is_wrong(items: Any, word: str) -> None:
    """It is stored with the archived task: short, and enough to find who wrote it."""
    with pytest.raises(WireError) as caught:
        native.decode(msgpack.packb(items, use_bin_type=True))
    assert word in caught.value.reason
    assert len(caught.value.reason) < 200


def test_fields_of_the_future_are_passed_over() -> None:
    """An older server can run a newer client's tasks."""
    raw = msgpack.packb([1, "t", b"p", 1.0, {2: 7, 99: {"new": True}}, "and more"], use_bin_type=True)
    assert native.decode(raw) == Envelope("t", b"p", max_retry=7, enqueued_at=1.0)


@given(codec=_text, raw=st.binary(max_size=100))
def test_a_result_says_how_to_decode_it(codec: str, raw: bytes) -> None:
    """Whoever reads it need not know who wrote it."""
    assert native.decode_result(native.encode_result(codec, raw)) == (codec, raw)


@given(st.binary(max_size=100))
@example(msgpack.packb([1, 2]))
@example(msgpack.packb(["codec"]))
def test_any_bytes_are_a_result_or_an_error_of_ours(raw: bytes) -> None:
    """As with envelopes."""
    try:
        codec, value = native.decode_result(raw)
    except WireError:
        return
    assert isinstance(codec, str)
    assert isinstance(value, bytes)
