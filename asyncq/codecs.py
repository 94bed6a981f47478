"""How payloads become bytes and come back.

`bytes` go as they are, whatever the codec, and no payload at all is no bytes. Anything
else goes through a codec, whose name travels with the task, so that a server reads each
task by the codec it was written with. Pickle is not among them and will not be: whoever
can write to Redis could then run code in every server.

A codec of your own (to encrypt, to compress, for other types) is an object with a `name`
and two methods; hand it to the client and to the server:

    codecs = Codecs("msgpack", Encrypted(key))     # writes msgpack, reads both
"""

from __future__ import annotations

import json
import threading
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol, cast, runtime_checkable
from uuid import UUID

import msgpack

from asyncq.errors import ConfigError, PayloadError, Problem, WireError

__all__ = ["DEFAULT_CODECS", "Codecs", "JsonCodec", "MsgpackCodec", "PayloadCodec", "RawCodec"]


@runtime_checkable
class PayloadCodec(Protocol):
    """Turns payloads into bytes and back. Called from several threads."""

    name: str
    """The name that travels with each task; short, and never reused for another format."""

    def encode(self, payload: object, /) -> bytes:
        """Return the bytes of `payload`; raise anything if it has none."""
        ...

    def decode(self, raw: bytes, /) -> object:
        """Return the payload of `raw`; raise anything if it cannot be read."""
        ...


# Extension types of the msgpack codec. What is stored with them lives in people's
# Redis: numbers are never given a new meaning. -1 is msgpack's own timestamp.
_EXT_UUID = 1
_EXT_DECIMAL = 2
_EXT_DATE = 3
_EXT_TIMEDELTA = 4
_EXT_SET = 5

_UNPACK_OPTIONS: Final[dict[str, Any]] = {
    # Timestamps as aware datetimes in UTC.
    "timestamp": 3,
    # Mappings may have int keys, as JSON's cannot.
    "strict_map_key": False,
    # No lengths are set: `unpackb` itself allows no item to be longer than the whole
    # input, so a forged length cannot make it reserve memory.
}


class MsgpackCodec:
    """MessagePack: compact, fast, and it knows more types than JSON.

    Beside msgpack's own: aware `datetime` (comes back in UTC), `date`, `timedelta`,
    `UUID`, `Decimal` and `set`. Tuples come back as lists.
    """

    name: str = "msgpack"

    def __init__(self) -> None:
        """Make a codec; one serves all threads."""
        self._local = threading.local()

    def __reduce__(self) -> tuple[type[MsgpackCodec], tuple[()]]:
        """Pickle as a new codec: worker processes get one of their own."""
        return MsgpackCodec, ()

    def encode(self, payload: object, /) -> bytes:
        """Return `payload` in MessagePack."""
        # A Packer has one buffer, which must not be shared between threads; to make a
        # new one for each payload would cost more than the packing.
        try:
            packer: msgpack.Packer = self._local.packer
        except AttributeError:
            packer = self._local.packer = _packer()
        return packer.pack(payload)

    def decode(self, raw: bytes, /) -> object:
        """Return what `raw` holds."""
        return cast("object", msgpack.unpackb(raw, ext_hook=_from_ext, **_UNPACK_OPTIONS))


def _packer() -> msgpack.Packer:
    return msgpack.Packer(default=_to_ext, datetime=True)


def _to_ext(value: object) -> msgpack.ExtType:
    """Return the extension value of what msgpack itself cannot pack."""
    match value:
        case UUID():
            return msgpack.ExtType(_EXT_UUID, value.bytes)
        case Decimal():
            return msgpack.ExtType(_EXT_DECIMAL, str(value).encode())
        case datetime():
            raise TypeError(f"{value!r} is naive, so it names no instant; give it a time zone")
        case date():
            return msgpack.ExtType(_EXT_DATE, value.isoformat().encode())
        case timedelta():
            parts = (value.days, value.seconds, value.microseconds)
            return msgpack.ExtType(_EXT_TIMEDELTA, _packer().pack(parts))
        case set() | frozenset():
            # Sorted, so that equal sets have equal bytes: unique tasks compare those.
            items = sorted(_packer().pack(item) for item in cast("set[object]", value))
            head = _packer().pack_array_header(len(items))
            return msgpack.ExtType(_EXT_SET, head + b"".join(items))
        case _:
            raise TypeError(f"msgpack has no form for {type(value).__qualname__}")


def _from_ext(code: int, data: bytes) -> object:
    """Return what an extension value stands for."""
    match code:
        case 1:
            return UUID(bytes=data)
        case 2:
            return Decimal(data.decode())
        case 3:
            return date.fromisoformat(data.decode())
        case 4:
            days, secs, micros = msgpack.unpackb(data)
            return timedelta(days, secs, micros)
        case 5:
            items = msgpack.unpackb(data, ext_hook=_from_ext, use_list=False, **_UNPACK_OPTIONS)
            return set(items)
        case _:
            # Kept as it is: a newer asyncq may have written it, and the handler may
            # not care for that part.
            return msgpack.ExtType(code, data)


class JsonCodec:
    """JSON in UTF-8, for readers in other languages. Only what JSON has; no `nan`."""

    name: str = "json"

    def encode(self, payload: object, /) -> bytes:
        """Return `payload` in JSON."""
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()

    def decode(self, raw: bytes, /) -> object:
        """Return what `raw` holds."""
        return cast("object", json.loads(raw))


class RawCodec:
    """No codec: only `bytes` are payloads, and anything else is refused."""

    name: str = "raw"

    def encode(self, payload: object, /) -> bytes:
        """Refuse: bytes never get here."""
        raise TypeError(f"the raw codec takes bytes, not {type(payload).__qualname__}")

    def decode(self, raw: bytes, /) -> object:
        """Return `raw`."""
        return raw


class Codecs:
    """The codecs of a client or server: one to write with, all to read with.

    The built-in ones (`msgpack`, `json`, `raw`) can always be read. A codec of your own
    replaces a built-in one of the same name.

    Args:
        default: What payloads are written with: a name or a codec. When not given it is what the wire
            says: msgpack, and JSON where tasks are shared with Go.
        more: Further codecs that can be read.
    """

    __slots__ = ("_by_name", "_is_chosen", "default")

    def __init__(self, default: str | PayloadCodec | None = None, *more: PayloadCodec) -> None:
        """Register the codecs, and choose the default."""
        self._is_chosen = default is not None
        if default is None:
            default = "msgpack"
        by_name: dict[str, PayloadCodec] = {"msgpack": _MSGPACK, "json": _JSON, "raw": _RAW}
        given = more if isinstance(default, str) else (default, *more)
        problems = [
            Problem("codec", codec, "an object with a name, encode and decode")
            for codec in given
            if not isinstance(cast("object", codec), PayloadCodec) or not codec.name
        ]
        if problems:
            raise ConfigError.of(problems)
        by_name.update({codec.name: codec for codec in given})
        name = default if isinstance(default, str) else default.name
        if name not in by_name:
            raise ConfigError("codec", name, f"one of {', '.join(sorted(by_name))}")
        self._by_name = by_name
        self.default = by_name[name]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the codecs, for worker processes."""
        return Codecs, (self.default, *self._by_name.values())

    def on(self, wire_codec: str) -> Codecs:
        """The same, with the default of a wire where none was chosen."""
        if self._is_chosen or self.default.name == wire_codec:
            return self
        return Codecs(wire_codec, *self._by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all codecs that can be read."""
        return tuple(self._by_name)

    @property
    def all(self) -> tuple[PayloadCodec, ...]:
        """All codecs that can be read."""
        return tuple(self._by_name.values())

    def encode(self, payload: object, *, type: str) -> tuple[str, bytes]:  # noqa: A002 - the word of the API
        """Return the name of the codec and the bytes of `payload`.

        The name is empty for bytes, which need no codec, and for None, which is no bytes.

        Raises:
            PayloadError: The codec has no form for it. `type` is for the error text.
        """
        if payload is None:
            return "", b""
        if isinstance(payload, bytes):
            return "", payload
        if isinstance(payload, (bytearray, memoryview)):
            return "", bytes(cast("bytes", payload))
        codec = self.default
        try:
            return codec.name, codec.encode(payload)
        except Exception as error:  # a user's codec may raise anything: it means "no"
            reason = f"the {codec.name} codec cannot encode it: {_text(error)}"
            raise PayloadError(type, reason) from error

    def decode(self, name: str, raw: bytes, *, where: str = "payload") -> Any:
        """Return the payload that `raw` holds, by the codec called `name`.

        Raises:
            WireError: There is no such codec here, or it cannot read these bytes.
                `where` is for the error text.
        """
        if not name:
            return raw or None
        codec = self._by_name.get(name)
        if codec is None:
            known = ", ".join(sorted(self._by_name))
            raise WireError(where, f"it is written with the codec {name!r}; known are {known}")
        try:
            return codec.decode(raw)
        except Exception as error:  # a user's codec may raise anything: it means "no"
            raise WireError(where, f"the {name} codec cannot decode it: {_text(error)}") from error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


_MSGPACK = MsgpackCodec()
_JSON = JsonCodec()
_RAW = RawCodec()

DEFAULT_CODECS: Final = Codecs()
"""What is used where no codecs are given."""
