"""Script calls whose arguments were packed before, for those who have no time when they send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asyncq._redis.link import pack

_FIRST: Final = b"$0\r\n\r\n"
_AGAIN: Final = b"$1\r\n1\r\n"


def packed(*parts: object) -> bytes:
    """Pack some arguments of a command, without what says how many there are."""
    return pack(parts).partition(b"\r\n")[2]


@dataclass(frozen=True, slots=True)
class Packed:
    """Keys and arguments of a script, packed in pieces."""

    count: int  #: of all keys and arguments
    keys: int  #: of the keys
    key_pieces: Sequence[bytes]
    argument_pieces: Sequence[bytes]

    def command(self, name: str, script: str, *, is_again: bool) -> bytes:
        """The whole command, with the argument that says whether it was sent before."""
        head = b"*%d\r\n" % (self.count + 4) + packed(name, script, self.keys)
        again = _AGAIN if is_again else _FIRST
        return b"".join((head, *self.key_pieces, again, *self.argument_pieces))
