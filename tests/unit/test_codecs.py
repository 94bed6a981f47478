"""Payload codecs: what comes back is what went in, and bad bytes are an error of ours."""

from __future__ import annotations

import math
import pickle
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.codecs import Codecs, JsonCodec, MsgpackCodec, PayloadCodec, RawCodec
from asyncq.errors import ConfigError, PayloadError, WireError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.frozensets(st.integers(0, 99)).map(set),
)
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(0, 9), inner)
    ),
    max_leaves=20,
)


@given(PAYLOADS)
def test_msgpack_brings_back_what_it_was_given(payload: object) -> None:
    """With the types that orders and invoices are made of."""
    codecs = Codecs()
    assert codecs.decode(*codecs.encode(payload, type="t")) == (payload if payload != b"" else None)


@given(st.binary())
def test_bytes_that_are_no_msgpack_are_a_wire_error(raw: bytes) -> None:
    """Whatever is in Redis, a server goes on."""
    try:
        Codecs().decode("msgpack", raw, where="the payload of task '7'")
    except WireError as error:
        assert "the payload of task '7'" in str(error)  # noqa: PT017 - most bytes are valid


@pytest.mark.parametrize(
    "payload", [{"a": 1}, [1, "zwölf", None, 1.5, True], "text", 7, {"nested": {"list": []}}]
)
def test_json_brings_back_what_it_was_given(payload: object) -> None:
    """For readers in other languages."""
    codecs = Codecs("json")
    name, raw = codecs.encode(payload, type="t")
    assert (name, codecs.decode(name, raw)) == ("json", payload)


@pytest.mark.parametrize("default", ["msgpack", "json", "raw"])
@pytest.mark.parametrize("payload", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_bytes_go_as_they_are_whatever_the_codec(default: str, payload: object) -> None:
    """Who encodes himself is not encoded again."""
    codecs = Codecs(default)
    assert codecs.encode(payload, type="t") == ("", b"\x00\xff")
    assert codecs.decode("", b"\x00\xff") == b"\x00\xff"


def test_no_payload_is_no_bytes() -> None:
    """Also for a task that another language enqueued without one."""
    codecs = Codecs()
    assert codecs.encode(None, type="t") == ("", b"")
    assert codecs.decode("", b"") is None


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        ("msgpack", object()),
        ("msgpack", {"when": datetime(2026, 3, 1)}),  # noqa: DTZ001 - that is the point
        ("msgpack", 2**64),
        ("msgpack", "\ud800"),
        ("json", {"when": datetime(2026, 3, 1, tzinfo=UTC)}),
        ("json", math.nan),
        ("json", {"raw": b"x"}),
        ("json", "\ud800"),
        ("raw", "text"),
    ],
)
def test_what_cannot_be_encoded_is_refused_with_type_and_reason(codec: str, payload: object) -> None:
    """Before anything is sent."""
    with pytest.raises(PayloadError, match=r"'email'.*cannot encode") as caught:
        Codecs(codec).encode(payload, type="email")
    assert caught.value.type == "email"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_a_payload_that_contains_itself_is_refused(codec: str) -> None:
    """Not a crash of the process."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(PayloadError):
        Codecs(codec).encode(endless, type="t")


def test_a_codec_goes_on_after_a_payload_it_refused() -> None:
    """The buffer is reused: nothing of the refused payload may be left in it."""
    codecs = Codecs()
    with pytest.raises(PayloadError):
        codecs.encode({"good": 1, "bad": object()}, type="t")
    assert codecs.decode(*codecs.encode({"good": 1}, type="t")) == {"good": 1}


def test_equal_sets_have_equal_bytes() -> None:
    """Unique tasks are compared by their bytes."""
    codec = MsgpackCodec()
    assert codec.encode({"a", "b", "c"}) == codec.encode({"c", "b", "a"})


def test_an_unknown_extension_is_kept() -> None:
    """A newer asyncq may have written it."""
    raw = msgpack.packb(msgpack.ExtType(99, b"x"))
    assert Codecs().decode("msgpack", raw) == msgpack.ExtType(99, b"x")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\x90\x01",
        msgpack.packb(msgpack.ExtType(1, b"short")),
        msgpack.packb(msgpack.ExtType(2, b"many")),
        msgpack.packb(msgpack.ExtType(4, b"\x90")),
        b"\x91" * 5000,
    ],
)
def test_broken_bytes_are_a_wire_error(raw: bytes) -> None:
    """A forged length must not make us reserve memory, and depth must not end the process."""
    with pytest.raises(WireError, match="msgpack codec cannot decode"):
        Codecs().decode("msgpack", raw)


def test_an_unknown_codec_is_named_together_with_the_known_ones() -> None:
    """The way out is in the text: give the server that codec."""
    with pytest.raises(WireError, match=r"'zstd'.*json, msgpack, raw"):
        Codecs().decode("zstd", b"x")


class Reversed:
    """A codec of a user."""

    name = "reversed"

    def encode(self, payload: object, /) -> bytes:
        """Write backwards."""
        return str(payload).encode()[::-1]

    def decode(self, raw: bytes, /) -> object:
        """Read backwards."""
        return raw[::-1].decode()


def test_a_codec_of_your_own_is_written_with_or_only_read() -> None:
    """Servers learn to read it first, then clients write it: no task is lost on the way."""
    reads, writes = Codecs("msgpack", Reversed()), Codecs(Reversed())
    assert reads.default.name == "msgpack"
    assert reads.decode(*writes.encode("abc", type="t")) == "abc"
    assert Codecs("reversed", Reversed()).default.name == "reversed"


def test_wrong_codecs_are_refused() -> None:
    """When the client is made, not at the first task."""
    with pytest.raises(ConfigError, match="json, msgpack, raw"):
        Codecs("zstd")
    with pytest.raises(ConfigError, match="encode and decode"):
        Codecs(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", [MsgpackCodec(), JsonCodec(), RawCodec(), Reversed()])
def test_built_in_codecs_follow_the_protocol(codec: object) -> None:
    """It is the one that users follow."""
    assert isinstance(codec, PayloadCodec)


def test_codecs_reach_worker_processes() -> None:
    """A task that runs in a process decodes its payload there."""
    codecs = pickle.loads(pickle.dumps(Codecs("json", Reversed())))  # noqa: S301 - our own bytes
    assert codecs.default.name == "json"
    assert set(codecs.names) == {"msgpack", "json", "raw", "reversed"}


def test_one_codec_serves_many_threads() -> None:
    """A blocking client is used from all of them at once, and the buffer is not shared."""
    codecs = Codecs()
    wrong: list[object] = []

    def work(number: int) -> None:
        for i in range(300):
            payload = {
                "n": number,
                "set": {UUID(int=i), Decimal(i)},
                "day": date(2026, 1, 1),
                "in": timedelta(i),
            }
            if codecs.decode(*codecs.encode(payload, type="t")) != payload:
                wrong.append(payload)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
