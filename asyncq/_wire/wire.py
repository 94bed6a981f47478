"""A wire: how the messages of one family of clients and servers look in Redis."""

from __future__ import annotations

from typing import Final, Protocol

from asyncq._wire import native
from asyncq._wire.keys import NATIVE_PREFIX, Keys
from asyncq._wire.messages import Envelope


class Wire(Protocol):
    """Key prefix and envelope codec."""

    @property
    def keys(self) -> Keys:
        """The names of keys."""
        ...

    def encode(self, queue: str, task_id: str, envelope: Envelope) -> bytes:
        """The bytes for the hash field `msg`."""
        ...

    def decode(self, raw: bytes) -> Envelope:
        """The envelope in the hash field `msg`; `WireError` when it is none."""
        ...


class NativeWire:
    """msgpack envelopes under `asyncq:` or a prefix of your own."""

    def __init__(self, prefix: str = NATIVE_PREFIX) -> None:
        self._keys: Final = Keys(prefix)

    @property
    def keys(self) -> Keys:
        return self._keys

    def encode(self, queue: str, task_id: str, envelope: Envelope) -> bytes:  # noqa: ARG002 - the key has both
        return native.encode(envelope)

    def decode(self, raw: bytes) -> Envelope:
        return native.decode(raw)
