"""The unit of work, before it is in Redis and in a handler."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Unpack, cast

from asyncq._wire.messages import Envelope
from asyncq.codecs import DEFAULT_CODECS, Codecs
from asyncq.errors import ConfigError
from asyncq.options import CheckedOptions, TaskOptions, check_options, is_text, public_options

__all__ = ["Task"]

_NO_OPTIONS: Final[CheckedOptions] = {}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Task:
    """A type name, a payload, headers and options. Does not change once it is made.

    A client is given one that you made:

        Task("email:welcome", {"user_id": 42}, queue="critical", max_retry=5)

    and a handler is given one that came out of Redis, with its `id` and `queue`.

    Args:
        type: What kind of work it is; the mux finds the handler by it. Kinds of kinds are
            written with colons: `email:welcome`.
        payload: `bytes` are stored as they are; anything else goes through a codec,
            `msgpack` if the client was not told otherwise.
        options: As `TaskOptions` lists them. What `enqueue` is given wins over these.

    Raises:
        ConfigError: The type is blank or an option is wrong; with every problem there is.
    """

    __slots__ = ("_checked", "_codec", "_codecs", "_headers", "_id", "_payload", "_queue", "_raw", "_type")

    def __init__(self, type: str, payload: object = None, **options: Unpack[TaskOptions]) -> None:  # noqa: A002 - the word of the API
        """Make a task to be enqueued."""
        if not is_text(type):
            raise ConfigError("type", type, "the type of a task, text that is not blank")
        self._type = type
        self._payload = payload
        self._raw: bytes | None = None
        self._codec = ""
        self._codecs = DEFAULT_CODECS
        self._id = ""
        self._queue = ""
        if options:
            checked = check_options(cast("Mapping[str, object]", options))
            self._checked = checked
            self._headers: Mapping[str, str] = checked.get("headers", _NO_HEADERS)
        else:
            self._checked = _NO_OPTIONS
            self._headers = _NO_HEADERS

    @classmethod
    def prepared(cls, type: str, payload: object, checked: CheckedOptions) -> Task:  # noqa: A002 - the word of the API
        """Make a task of parts that were checked before, as a typed definition has them."""
        self = cls.__new__(cls)
        self._type = type
        self._payload = payload
        self._raw = None
        self._codec = ""
        self._codecs = DEFAULT_CODECS
        self._headers = checked.get("headers", _NO_HEADERS)
        self._id = ""
        self._queue = ""
        self._checked = checked
        return self

    @classmethod
    def received(cls, queue: str, task_id: str, envelope: Envelope, codecs: Codecs = DEFAULT_CODECS) -> Task:
        """Make the task that a handler is given. Nothing is checked and nothing decoded yet."""
        self = cls.__new__(cls)
        self._type = envelope.type
        self._payload = _UNDECODED
        self._raw = envelope.payload
        self._codec = envelope.codec
        self._codecs = codecs
        headers = envelope.headers
        self._headers = headers
        self._id = task_id
        self._queue = queue
        # Of what it was enqueued with, a handler that enqueues it again passes on the
        # headers and nothing else.
        self._checked = {"headers": headers} if headers else _NO_OPTIONS
        return self

    @property
    def type(self) -> str:
        """What kind of work it is."""
        return self._type

    @property
    def payload(self) -> Any:
        """The payload, decoded when it is first asked for. None if there is none.

        Raises:
            WireError: It cannot be decoded, or by no codec that this server knows.
        """
        payload = self._payload
        if payload is _UNDECODED:
            where = f"the payload of task {self._id!r} ({self._type})"
            payload = self._codecs.decode(self._codec, self._raw or b"", where=where)
            self._payload = payload
        return payload

    @property
    def raw(self) -> bytes:
        """The bytes of the payload as they are in Redis.

        Of a task that you made they are what the default codec would write.
        """
        raw = self._raw
        if raw is None:
            self._codec, raw = self._codecs.encode(self._payload, type=self._type)
            self._raw = raw
        return raw

    def encoded(self, codecs: Codecs) -> tuple[str, bytes]:
        """Return the name of the codec and the bytes to enqueue this task with.

        A task that came out of Redis is passed on byte for byte, by the codec it was
        written with: it can be enqueued again by who cannot read its payload.
        """
        if self._payload is _UNDECODED or self._id:
            return self._codec, self._raw or b""
        return codecs.encode(self._payload, type=self._type)

    @property
    def headers(self) -> Mapping[str, str]:
        """Text that travels with the task. Not to be changed."""
        return self._headers

    @property
    def id(self) -> str:
        """The id in its queue; empty for a task that was not enqueued yet."""
        return self._id

    @property
    def queue(self) -> str:
        """The queue it was taken from; empty for a task that was not enqueued yet."""
        return self._queue

    @property
    def options(self) -> TaskOptions:
        """The options it was made with. In a handler only the headers: ask the context for more."""
        return public_options(self._checked)

    @property
    def checked_options(self) -> CheckedOptions:
        """The same, checked and converted; for the inside of the library."""
        return self._checked

    def __repr__(self) -> str:
        """Show type and id, and not the payload, which may hold secrets."""
        of = f" id={self._id!r} queue={self._queue!r}" if self._id else ""
        return f"<Task {self._type!r}{of}>"

    def __eq__(self, other: object) -> bool:
        """Compare by everything that is enqueued."""
        if not isinstance(other, Task):
            return NotImplemented
        return (
            (self._type, self._id, self._queue, self._checked)
            == (other._type, other._id, other._queue, other._checked)
            and self._headers == other._headers
            and self.payload == other.payload
        )

    # The payload may be unhashable, and equal payloads may be encoded differently.
    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle for a worker process: bytes as they are, still to be decoded there."""
        state = {name: getattr(self, name) for name in self.__slots__ if name != "_headers"}
        state["_headers"] = dict(self._headers)
        if self._payload is _UNDECODED or self._raw is not None:
            del state["_payload"]
        return _restored, (state,)


class _Undecoded:
    """Stands for a payload that nobody has asked for yet."""


_UNDECODED: Final = _Undecoded()


def _restored(state: dict[str, Any]) -> Task:
    task = Task.__new__(Task)
    task._payload = _UNDECODED  # pyright: ignore[reportPrivateUsage]
    for name, value in state.items():
        setattr(task, name, value)
    return task
