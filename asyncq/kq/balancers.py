"""Which partition a message goes to.

A balancer is called with the key, the bytes of key and value, and the partitions of the topic, ascending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Balancer", "Hash", "LeastBytes", "Murmur2", "RoundRobin"]

Balancer = Callable[[bytes, int, Sequence[int]], int]
"""Given the key, the bytes of key and value, and the partitions, says which one."""


class LeastBytes:
    """The partition that was sent the fewest bytes so far. The way of go-queue.

    It does not look at the key: messages with the same key are in no order.
    """

    def __init__(self) -> None:
        self._sent: dict[int, int] = {}

    def __call__(self, key: bytes, size: int, partitions: Sequence[int]) -> int:
        """Choose, and count what goes there."""
        del key
        if len(partitions) != len(self._sent):
            self._sent = dict.fromkeys(partitions, 0)
        chosen = min(partitions, key=lambda partition: (self._sent.get(partition, 0), partition))
        self._sent[chosen] = self._sent.get(chosen, 0) + size
        return chosen


class RoundRobin:
    """One partition after the other."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, key: bytes, size: int, partitions: Sequence[int]) -> int:
        """Choose the one after the last one."""
        del key, size
        chosen = partitions[self._next % len(partitions)]
        self._next += 1
        return chosen


_FNV_BASIS: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_MASK: Final = 0xFFFFFFFF


class Hash:
    """By the key, where kafka-go's and Sarama's hash balancer (FNV-1a) puts it: one key, one partition."""

    def __call__(self, key: bytes, size: int, partitions: Sequence[int]) -> int:
        """Choose by the key."""
        del size
        number = _FNV_BASIS
        for byte in key:
            number = (number ^ byte) * _FNV_PRIME & _MASK
        # Go takes it for a signed number, and the remainder without its sign.
        signed = number - (1 << 32) if number >> 31 else number
        return partitions[abs(signed) % len(partitions)]


_MURMUR: Final = 0x5BD1E995
_MURMUR_SEED: Final = 0x9747B28C


class Murmur2:
    """By the key, where Kafka's own clients for Java put it: one key, one partition."""

    def __call__(self, key: bytes, size: int, partitions: Sequence[int]) -> int:
        """Choose by the key."""
        del size
        return partitions[(_murmur2(key) & 0x7FFFFFFF) % len(partitions)]


def _murmur2(data: bytes) -> int:
    length = len(data)
    number = _MURMUR_SEED ^ length
    whole = length - length % 4
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * _MURMUR & _MASK
        part = (part ^ part >> 24) * _MURMUR & _MASK
        number = number * _MURMUR & _MASK ^ part
    if whole < length:
        number = (number ^ int.from_bytes(data[whole:], "little")) * _MURMUR & _MASK
    number = (number ^ number >> 13) * _MURMUR & _MASK
    return number ^ number >> 15


BALANCERS: Final[dict[str, Callable[[], Balancer]]] = {
    "least_bytes": LeastBytes,
    "hash": Hash,
    "murmur2": Murmur2,
    "round_robin": RoundRobin,
}
