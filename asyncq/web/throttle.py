"""Bounds how often somebody may try to guess a token."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

MOST_FAILURES: Final = 10
"""Failed attempts of one address in a minute."""

WINDOW: Final = 60.0
MOST_ADDRESSES: Final = 10_000
"""Addresses that are remembered; the one that failed longest ago is forgotten first."""


class Throttle:
    """Remembers failed attempts by kind (a form, a header) and address. In memory: a restart forgets them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait(self, kind: str, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        times = self._failures.get((kind, _network(address)))
        if times is None or len(times) < MOST_FAILURES:
            return 0.0
        return max(0.0, times[0] + WINDOW - self._clock())

    def failed(self, kind: str, address: str) -> None:
        """Note a failed attempt."""
        key = kind, _network(address)
        times = self._failures.setdefault(key, deque(maxlen=MOST_FAILURES))
        times.append(self._clock())
        self._failures.move_to_end(key)
        if len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)


def _network(address: str) -> str:
    """An address, or for IPv6 the network that one customer has all the addresses of."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) else address
