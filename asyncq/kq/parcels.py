"""Messages on their way out: made of what was given, checked before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from asyncq.errors import ConfigError, Problem
from asyncq.kq.carriers import trace_headers
from asyncq.kq.delivery import Delivery


@dataclass(slots=True, eq=False)
class Parcel:
    """A message that was pushed."""

    delivery: Delivery
    size: int  #: bytes of key, value and headers
    headers: Sequence[tuple[str, bytes]]
    timestamp: int  #: milliseconds since 1970, from when it was pushed


class Packing:
    """Makes parcels.

    Args:
        max_message: Bytes that key, value and headers may have.
        traces: Whether the present trace goes along.
        on_seen: Told when a delivery is awaited.
    """

    def __init__(self, *, max_message: int, traces: bool, on_seen: Callable[[Delivery], None]) -> None:
        self._max_message: Final = max_message
        self._traces: Final = traces
        self._on_seen: Final = on_seen

    def parcel(self, value: object, key: object, headers: Mapping[str, bytes | str] | None) -> Parcel:
        """Make one.

        Raises:
            ConfigError: Something is no text or bytes, or all together are too large.
        """
        problems: list[Problem] = []
        now = time.time_ns()
        body = _bytes_of("value", value, problems)
        name = str(now).encode() if key is None else _bytes_of("key", key, problems)
        all_headers = {
            title: _bytes_of(f"headers[{title!r}]", text, problems) for title, text in (headers or {}).items()
        }
        if self._traces:
            all_headers |= trace_headers()
        size = len(name) + len(body) + sum(len(title) + len(text) for title, text in all_headers.items())
        if size > self._max_message:
            problems.append(Problem("value", f"{size} bytes", f"at most {self._max_message} (`max_message`)"))
        if problems:
            raise ConfigError.of(problems)
        delivery = Delivery(name, body, self._on_seen)
        return Parcel(delivery, size, tuple(all_headers.items()), now // 1_000_000)


def _bytes_of(name: str, value: object, problems: list[Problem]) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            problems.append(Problem(name, value, "text that UTF-8 can hold"))
            return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", value))
    problems.append(Problem(name, value, "bytes or text"))
    return b""
