"""What a handler may know and say about the task it runs."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from asyncq._clock import from_unix
from asyncq._wire.messages import Envelope
from asyncq._wire.native import encode_result
from asyncq.codecs import DEFAULT_CODECS, Codecs
from asyncq.errors import NotStartedError
from asyncq.task_info import Progress

__all__ = ["Context", "current_context"]

CancelReason = Literal[
    "timeout", "deadline", "lease_lost", "cancelled", "attempt_cancelled", "shutdown", "slot_lost"
]


_MAKING: Final = threading.Lock()


class Reports(Protocol):
    """Where results and progress go. The server's; tests may have their own."""

    def progress(self, context: Context, value: Progress) -> None:
        """Take a progress report; must not block, may be called from any thread."""
        ...

    def result(self, context: Context, value: bytes) -> Awaitable[None]:
        """Write a result."""
        ...


class Handed(Protocol):
    """One handing-over of a task, as far as a context shows it."""

    queue: str
    id: str
    token: str
    retried: int
    deliveries: int
    lost: int


@dataclass(frozen=True, slots=True)
class Host:
    """What all contexts of one server share."""

    server_id: str
    reports: Reports
    codecs: Codecs = DEFAULT_CODECS
    state: Any = None  #: what the lifespan of the server gave
    slots: object | None = None  #: the server's slots of semaphores; `asyncq.Semaphore` knows what they are
    encode_result: Callable[[str, bytes], bytes] = encode_result  #: codec and bytes, as the wire stores them


class Context:
    """One attempt at one task, as its handler sees it.

    Made by the server for each delivery. Handlers get it as second argument, typed definitions as
    `ctx`, and anything they call from `current_context()`.
    """

    __slots__ = ("_cancelled", "_deadline", "_delivery", "_envelope", "_host", "_local", "cancel_reason")

    cancel_reason: CancelReason | None  #: why this attempt is being stopped, if it is

    def __init__(self, host: Host, envelope: Envelope, delivery: Handed, deadline: float) -> None:
        # Made once for each delivery, so it keeps references; whoever looks pays for looking.
        self._host = host
        self._envelope = envelope
        self._delivery = delivery
        self._deadline = deadline
        self._cancelled: threading.Event | None = None
        self.cancel_reason = None

    @property
    def id(self) -> str:
        """The id of the task."""
        return self._delivery.id

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._delivery.queue

    @property
    def retried(self) -> int:
        """Retries used so far; 0 in the first attempt."""
        return self._delivery.retried

    @property
    def deliveries(self) -> int:
        """How often the task was handed to a server before this time."""
        return self._delivery.deliveries

    @property
    def lost(self) -> int:
        """How often it was lost with its server."""
        return self._delivery.lost

    @property
    def token(self) -> str:
        """Of this delivery. What is written with it is written only while the lease is held."""
        return self._delivery.token

    @property
    def server_id(self) -> str:
        """The server that runs it."""
        return self._host.server_id

    @property
    def type(self) -> str:
        """The type of the task."""
        return self._envelope.type

    @property
    def attempt(self) -> int:
        """1 for the first attempt, then 2 and so on. Attempts lost with a server do not count."""
        return self._delivery.retried + 1

    @property
    def max_retry(self) -> int:
        """How many retries the task may have."""
        return self._envelope.max_retry

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure now is final."""
        return self._delivery.retried >= self._envelope.max_retry

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers the task was enqueued with."""
        return self._envelope.headers

    @property
    def state(self) -> Any:
        """What the `lifespan` of the server gave; `None` when it has none. Shared by all its tasks."""
        return self._host.state

    @property
    def local(self) -> Any:
        """What the `task_lifespan` of the server gave for this attempt; `None` when it has none."""
        # Not set in the constructor: most servers have none, and it would be paid for each task.
        return getattr(self, "_local", None)

    @local.setter
    def local(self, value: Any) -> None:
        self._local = value

    @property
    def deadline(self) -> datetime | None:
        """When this attempt will be stopped; `None` for never."""
        return from_unix(self._deadline) if self._deadline else None

    @property
    def is_cancelled(self) -> bool:
        """Whether this attempt is to stop. `def` handlers cannot be interrupted: let them look often."""
        return self.cancel_reason is not None

    def wait_cancelled(self, timeout: float | None = None) -> bool:
        """Block a thread until this attempt is to stop, or for `timeout` seconds. Not for the event loop."""
        with _MAKING:  # several threads of a handler may wait, and must not each make one
            if self._cancelled is None:
                self._cancelled = threading.Event()
        if self.cancel_reason is not None:
            return True
        return self._cancelled.wait(timeout)

    def cancel(self, reason: CancelReason) -> None:
        """Note that this attempt is to stop. For the server; does not interrupt anything by itself."""
        self.cancel_reason = reason
        if self._cancelled is not None:
            self._cancelled.set()

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the task is.

        Costs nothing to speak of: the last report of each moment is written, those before it are
        not. May be called from threads.
        """
        self._host.reports.progress(self, Progress(done, total, note))

    async def write_result(self, value: Any) -> int:
        """Write a result now, which others can read while the task still runs.

        It is kept with the task, so it needs `retention`; what a handler returns is written as
        the result anyway.

        Returns:
            How many bytes were written.

        Raises:
            TaskNotActiveError: The lease was lost; nothing was written.
        """
        raw = self.encode_result(value)
        await self._host.reports.result(self, raw)
        return len(raw)

    def encode_result(self, value: Any) -> bytes:
        """A result as it is stored: bytes, and the codec they were written with."""
        codec, raw = self._host.codecs.encode(value, type=self.type)
        return self._host.encode_result(codec, raw)

    def __repr__(self) -> str:
        return f"<Context {self.type!r} id={self.id!r} queue={self.queue!r} attempt={self.attempt}>"


CURRENT: Final[ContextVar[Context]] = ContextVar("asyncq_context")


def current_context() -> Context:
    """The context of the task that runs here.

    Raises:
        NotStartedError: Nothing runs here: this is not called from a handler.
    """
    context = find_context()
    if context is None:
        raise NotStartedError("a task")
    return context


def find_context() -> Context | None:
    """The context of the task that runs here, if one does."""
    return CURRENT.get(None)
