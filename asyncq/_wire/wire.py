"""A wire: how the messages of one family of clients and servers look in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from asyncq._wire import asynq, asynq_hash, native
from asyncq._wire.keys import ASYNQ_PREFIX, NATIVE_PREFIX, Keys
from asyncq._wire.messages import Envelope

NATIVE: Final = "native"
ASYNQ: Final = "asynq"

DIALECTS: Final = (NATIVE, ASYNQ)
"""The folders of Lua pieces: what scripts do differently in each wire."""


class Wire(Protocol):
    """Key prefix, codecs of what stands in a task's hash, and the dialect of the scripts."""

    @property
    def name(self) -> str:
        """As users call it; the scripts' dialect has the same name."""
        ...

    @property
    def keys(self) -> Keys:
        """The names of keys."""
        ...

    @property
    def codec(self) -> str:
        """Name of the codec for payloads and results where none is chosen."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether others than us work on the same data: they send no messages, and keep no accounts."""
        ...

    def encode(self, queue: str, task_id: str, envelope: Envelope) -> bytes:
        """The bytes of a message, as scripts take them."""
        ...

    def decode(self, raw: bytes) -> Envelope:
        """The envelope in a message, as scripts give it; `WireError` when it is none."""
        ...

    def encode_result(self, codec: str, raw: bytes) -> bytes:
        """The bytes for the hash field `result`."""
        ...

    def result(self, field: bytes) -> bytes:
        """A result as the native wire has it."""
        ...

    def fields(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        """All fields of a task's hash as the native wire has them."""
        ...


class NativeWire:
    """msgpack envelopes under `asyncq:` or a prefix of your own."""

    def __init__(self, prefix: str = NATIVE_PREFIX) -> None:
        self.name: Final = NATIVE
        self.codec: Final = "msgpack"
        self.is_shared: Final = False
        self._keys: Final = Keys(prefix)

    @property
    def keys(self) -> Keys:
        return self._keys

    def encode(self, queue: str, task_id: str, envelope: Envelope) -> bytes:  # noqa: ARG002 - the key has both
        return native.encode(envelope)

    def decode(self, raw: bytes) -> Envelope:
        return native.decode(raw)

    def encode_result(self, codec: str, raw: bytes) -> bytes:
        return native.encode_result(codec, raw)

    def result(self, field: bytes) -> bytes:
        return field

    def fields(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        return dict(found)


class AsynqWire:
    """What Go's asynq has in Redis, and beside it fields and keys of our own that it does not look at."""

    def __init__(self) -> None:
        self.name: Final = ASYNQ
        self.codec: Final = asynq.GO_CODEC
        self.is_shared: Final = True
        self._keys: Final = Keys(ASYNQ_PREFIX, own=ASYNQ_PREFIX + "asyncq:")

    @property
    def keys(self) -> Keys:
        return self._keys

    def encode(self, queue: str, task_id: str, envelope: Envelope) -> bytes:
        message, extra = asynq.encode(ASYNQ_PREFIX, queue, task_id, envelope)
        # In front, where a script can tell it from the message by its first bytes.
        return extra + message

    def decode(self, raw: bytes) -> Envelope:
        return asynq.decode(raw)

    def encode_result(self, codec: str, raw: bytes) -> bytes:
        return asynq_hash.encode_result(codec, raw)

    def result(self, field: bytes) -> bytes:
        return asynq_hash.read_result(field)

    def fields(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        return asynq_hash.read_fields(found)
