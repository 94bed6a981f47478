"""What a handler gets, and where a message is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

__all__ = ["Message", "Place"]


class Place(NamedTuple):
    """Where a message is stored."""

    topic: str
    partition: int
    offset: int | None  #: None without acknowledgements (`acks=0`): nobody said


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a topic, as a handler gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]  #: of several with one name, the last
    timestamp: datetime  #: when it was pushed, or stored, as the topic is set up
    attempt: int = 1  #: which time this process hands it to the handler, from 1

    @property
    def id(self) -> str:
        """`topic-partition-offset`: one message, one id, in every process."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def text(self) -> str:
        """The value as UTF-8 text.

        Raises:
            UnicodeDecodeError: It is none.
        """
        return self.value.decode()
