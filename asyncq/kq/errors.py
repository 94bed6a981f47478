"""What goes wrong with Kafka, in the tree of `asyncq.errors`.

AsyncqError
├─ KafkaUnavailableError    no broker answers, or none lets us in: try again, or mend the settings
├─ TopicNotFoundError       also a NotFoundError: there is no such topic
├─ PushError                messages that were pushed and are not stored
└─ MessageFailedError       a message failed for good, and may not be skipped: the queue stopped
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asyncq.errors import AsyncqError, NotFoundError

__all__ = ["KafkaUnavailableError", "MessageFailedError", "PushError", "TopicNotFoundError", "Unstored"]


class KafkaUnavailableError(AsyncqError):
    """None of the brokers can be used: not reached, or they refuse us. `reasons` has one for each."""

    _text = "cannot use Kafka at {where}: {why}"

    def __init__(self, reasons: Sequence[tuple[str, str]]) -> None:
        super().__init__(tuple(reasons))
        self.reasons = tuple(reasons)
        self.where = ", ".join(broker for broker, _ in self.reasons)
        texts = {why for _, why in self.reasons}
        self.why = (
            texts.pop() if len(texts) == 1 else "; ".join(f"{broker}: {why}" for broker, why in self.reasons)
        )


class TopicNotFoundError(NotFoundError):
    """There is no such topic, and it is not ours to make one. `near` has names like it."""

    _text = "there is no topic {topic!r}"

    def __init__(self, topic: str, near: Sequence[str] = ()) -> None:
        super().__init__(topic, tuple(near))
        self.topic, self.near = topic, tuple(near)


class Unstored(NamedTuple):
    """A message that was pushed and is not stored."""

    key: bytes | None
    value: bytes
    error: Exception  #: why not


class PushError(AsyncqError):
    """Messages were pushed and Kafka does not have them, as far as we know: push them again.

    `count` says how many; `failures` has the first of them, a hundred at the most, with their reasons. After
    a time-out a message may be there all the same; pushing it again makes two of it then.
    """

    _text = "{what} not stored in topic {topic!r}: {why}"

    def __init__(self, topic: str, failures: Sequence[Unstored], count: int = 0) -> None:
        super().__init__(topic, tuple(failures), count)
        self.topic, self.failures = topic, tuple(failures)
        self.count = count or len(self.failures)
        self.what = "a message is" if self.count == 1 else f"{self.count} messages are"
        self.why = "; ".join(dict.fromkeys(_reason(failure.error) for failure in self.failures)) or "unknown"


class MessageFailedError(AsyncqError):
    """The handler failed for good with a message that may not be skipped, so the queue stopped before it.

    The error of the handler is `error` and `__cause__`. After a restart the message comes again.
    """

    _text = "message {id} failed after {attempts} attempts: {why}"

    def __init__(self, id: str, attempts: int, error: BaseException) -> None:  # noqa: A002 - the word of Kafka
        super().__init__(id, attempts, error)
        self.id, self.attempts, self.error = id, attempts, error
        self.why = _reason(error)


def _reason(error: BaseException) -> str:
    text = str(error)
    name = type(error).__name__
    return text if text.startswith(name) or not text else f"{name}: {text}"
