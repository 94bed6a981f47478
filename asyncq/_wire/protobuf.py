"""As much of protobuf as asynq's records need: written by hand, since it is little and runs once a task.

A message is a row of fields, each behind a tag: the number of the field and how long it is. `scan` cuts
a message into its fields and knows nothing of what they mean, so that whatever a newer writer adds is
passed over. A field that comes twice counts as it came last, which is what lets a script change a message
by appending to it.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import Any, Final, NamedTuple

from asyncq.errors import WireError

NUMBER: Final = 0
BYTES: Final = 2
"""How a field is long: as its own bits say, or as a length in front of it says."""

_FIXED64: Final = 1
_FIXED32: Final = 5

_WORD: Final = 2**64
_SIGN: Final = 2**63
_HALF: Final = 2**32
_HALF_SIGN: Final = 2**31
_CUT_OFF: Final = "it is cut off inside a field"


class Timestamp(NamedTuple):
    """An instant as protobuf has it. The whole seconds may be before 1970, the rest is never negative."""

    seconds: int = 0
    nanos: int = 0

    @classmethod
    def of(cls, unix: float) -> Timestamp:
        """Make one of Unix seconds."""
        whole, rest = divmod(unix, 1.0)
        nanos = round(rest * 1e9)
        return cls(int(whole), nanos) if nanos < 10**9 else cls(int(whole) + 1, 0)

    @property
    def unix(self) -> float:
        """It in Unix seconds."""
        return self.seconds + self.nanos / 1e9

    @property
    def is_never(self) -> bool:
        """Whether this is what Go writes for a time that is not set."""
        return self == NEVER


NEVER: Final = Timestamp(-62_135_596_800, 0)
"""The first instant of the year 1: Go's time that is not set."""


# --- writing ---------------------------------------------------------------------


def tag(field: int, kind: int) -> bytes:
    """What stands before a field."""
    return varint(field << 3 | kind)


@lru_cache(maxsize=1024)
def varint(value: int) -> bytes:
    """A number in groups of seven bits; a negative one takes ten bytes."""
    if value < 0:
        value += _WORD
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def utf8(text: str) -> bytes:
    """Text as a field holds it.

    A lone surrogate, which has no form in UTF-8, is replaced: Go refuses a message that is not UTF-8,
    and with it all work on the task.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A pair of surrogates is a character, once it has gone the way of UTF-16.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def number_field(field: int, value: int) -> bytes:
    """A number; nothing for zero."""
    return tag(field, NUMBER) + varint(value) if value else b""


def bytes_field(field: int, value: bytes) -> bytes:
    """Bytes; nothing for none."""
    return message_field(field, value) if value else b""


def text_field(field: int, value: str) -> bytes:
    """Text; nothing for none."""
    return message_field(field, utf8(value)) if value else b""


def message_field(field: int, body: bytes) -> bytes:
    """A message, also when it is empty; or one of several texts."""
    return tag(field, BYTES) + varint(len(body)) + body


def entry_field(field: int, key: str, value: str | int) -> bytes:
    """One entry of a map: Go writes both halves, also empty ones."""
    name = message_field(1, utf8(key))
    held = message_field(2, utf8(value)) if isinstance(value, str) else tag(2, NUMBER) + varint(value)
    return message_field(field, name + held)


def time_field(field: int, when: Timestamp) -> bytes:
    """An instant, also the first second of 1970, of which both halves are left out."""
    return message_field(field, number_field(1, when.seconds) + number_field(2, when.nanos))


# --- reading ---------------------------------------------------------------------


def scan(  # noqa: C901, PLR0912 - in one piece, see below
    raw: bytes, repeated: Container[int], where: str
) -> dict[int, Any]:
    """Cut a message into its fields.

    Args:
        raw: The message.
        repeated: The tags of fields that may come several times.
        where: What is read, for the error text.

    Returns:
        Under its tag (`number << 3 | kind`) the last value of each field, and of those in `repeated` a list
        of all: integers without sign, or bytes.

    Raises:
        WireError: This is no protobuf, or is cut off.
    """
    found: dict[int, Any] = {}
    at, end = 0, len(raw)
    value: int | bytes
    try:
        # Written out, not in functions: this loop runs once for every field of every task. What takes two
        # bytes is as usual as what takes one.
        while at < end:
            key = raw[at]
            at += 1
            if key > 0x7F:
                more = raw[at]
                at += 1
                if more > 0x7F:
                    key, at = _varint(raw, at - 2, where)
                else:
                    key = key & 0x7F | more << 7
            kind = key & 7
            if not kind or kind == 2:
                value = raw[at]
                at += 1
                if value > 0x7F:
                    more = raw[at]
                    at += 1
                    if more > 0x7F:
                        value, at = _varint(raw, at - 2, where)
                    else:
                        value = value & 0x7F | more << 7
                if kind:
                    start = at
                    at += value
                    if at > end:
                        raise WireError(where, _CUT_OFF)
                    value = raw[start:at]
            elif kind in {_FIXED32, _FIXED64}:
                start = at
                at += 4 if kind == _FIXED32 else 8
                if at > end:
                    raise WireError(where, _CUT_OFF)
                value = raw[start:at]
            else:
                raise WireError(where, f"a field of the kind {kind}, which this protobuf does not have")
            if not 8 <= key <= 0xFFFF_FFFF:
                raise WireError(where, f"a field of the number {key >> 3}")
            if key in repeated:
                found.setdefault(key, []).append(value)
            else:
                found[key] = value
    except IndexError:
        raise WireError(where, _CUT_OFF) from None
    return found


def _varint(raw: bytes, at: int, where: str) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = shift = 0
    for byte in raw[at : at + 10]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte <= 0x7F:
            if value >= _WORD:
                break
            return value, at + shift // 7
    if shift < 70:
        raise WireError(where, "it is cut off inside a number")
    raise WireError(where, "a number of more than 64 bits")


def int64(value: int) -> int:
    """A scanned number as a signed one."""
    return value if value < _SIGN else value - _WORD


def int32(value: int) -> int:
    """A scanned number as a signed one of 32 bits; further bits do not count, as in every protobuf."""
    value &= _HALF - 1
    return value if value < _HALF_SIGN else value - _HALF


def text(raw: bytes, where: str) -> str:
    """Scanned bytes as text.

    Raises:
        WireError: They are not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise WireError(where, f"text that is not UTF-8: {error.reason}") from None


def timestamp(parts: list[bytes], where: str) -> Timestamp:
    """The instant of a field that was scanned as a repeated one.

    A message that comes in parts counts as one: that is how protobuf joins messages. One that does not
    come at all is the first second of 1970.

    Raises:
        WireError: This is no instant.
    """
    found = scan(b"".join(parts), (), where)
    return Timestamp(int64(found.get(1 << 3, 0)), int32(found.get(2 << 3, 0)))
