"""Commands that were packed in pieces."""

from __future__ import annotations

import pytest

from asyncq._redis.link import pack
from asyncq._redis.packed import Packed, packed


@pytest.mark.parametrize("again", ["", "1"])
def test_the_pieces_make_the_command_that_is_packed_at_once(again: str) -> None:
    """Whatever is in them: text, bytes with line ends, and numbers."""
    keys, args = ["a", "ü", "c"], [7, b"x\r\n$3\r\ny", "", 1.5]
    pieces = Packed(7, 3, [packed("a"), packed("ü", "c")], [packed(7, b"x\r\n$3\r\ny"), packed("", 1.5)])
    command = pieces.command("EVALSHA", "0123", is_again=bool(again))
    assert command == pack(("EVALSHA", "0123", 3, *keys, again, *args))
