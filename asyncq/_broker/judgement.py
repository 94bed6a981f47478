"""The scripts that judge, and what they say in words.

Each looks at all that matters at one moment. So whatever runs meanwhile, damage is damage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.findings import Kind
from asyncq._wire.keys import QueueKeys
from asyncq.errors import WireError

MEND: Final = script("mend")
BALANCE: Final = script("balance")
UNLOCK: Final = script("unlock")
REGROUP: Final = script("regroup")

CHUNK: Final = 100
"""Tasks looked at by one call: about 1 ms of Redis' time."""

SEARCHED: Final = 1_000_000
"""List entries compared by one call that searches the pending list: about 20 ms of Redis' time."""

WORTH_SEARCHING: Final = 50_000_000
"""List entries compared for the suspects of one queue: about 1 s of Redis' time.

Beyond it, it is believed that what was not seen in the list is not there."""

MOST_GROUPS: Final = 10_000
"""Groups whose sizes are added up by one call."""

_pack: Final = msgpack.Packer(use_bin_type=False).pack

_PLACES: Final = {
    "group": "its group",
    "aggregation": "an aggregation set",
    "unleased": "`active` without a lease",
}

_WORDS: Final = {
    Kind.ORPHAN: ("says it is {state}, but is in no list or set: nothing will find it", "put it into {home}"),
    Kind.GHOST: (
        "is in {where}, but there is no message to run",
        "remove the id, count the task as vanished; its message was lost before",
    ),
    Kind.HOLLOW: ("has no message, and is in no list or set", "delete its hash, count it as vanished"),
    Kind.TWICE: ("is in {where} at the same time", "keep it in {home} only"),
    Kind.DUPLICATE: ("is {listed} times in pending", "leave one of them"),
    Kind.WRONG_STATE: ("is in {where}, but its hash says {state}", "correct the hash"),
    Kind.NO_TOKEN: ("is active, but its hash names no server that could finish it", "put it into {home}"),
    Kind.STALE_TOKEN: ("is in {where}, but a server may still settle it as its own", "take that right away"),
    Kind.NO_LEASE: (
        "is active, and has no lease: nobody would ever take it back",
        "give it one: its server goes on with it, or another one takes it back",
    ),
    Kind.BARE_LEASE: (
        "has a lease, and is not once in `active`: Go could neither settle nor recover it",
        "put it there once",
    ),
    Kind.WRONG_TYPE: ("is no hash", "look at it with TYPE; delete or rename it"),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the script said about one id."""

    kinds: tuple[Kind, ...]
    places: tuple[str, ...]  #: sorted sets that hold it, by state
    listed: int  #: times in the pending list
    state: str  #: what its hash says
    home: str  #: where it belongs, '' when it has to go

    @property
    def holders(self) -> int:
        """How many times it is counted."""
        return len(self.places) + max(0, self.listed)

    def explain(self, kind: Kind) -> tuple[str, str]:
        """What is wrong, and what a repair does about it."""
        held = [*self.places, *(["pending"] if self.listed > 0 else [])]
        facts = {
            "where": " and ".join(_PLACES.get(place, place) for place in held),
            "home": _PLACES.get(self.home, self.home),
            "state": self.state,
            "listed": self.listed,
        }
        text, remedy = _WORDS[kind]
        return text.format(**facts), remedy.format(**facts)


def place_keys(keys: QueueKeys) -> list[str]:
    """The keys that `mend` and `balance` begin with."""
    return [
        keys.pending, keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed,
        keys.groups, keys.aggregation_sets, keys.flow,
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suspect:
    """An id to be judged, and what is known of it."""

    id: bytes
    groups: Sequence[bytes] = ()  #: in which it was seen
    unseen: bytes = b""  #: the trace it had before the pending list was read and did not hold it
    keep: float = 0.0  #: seconds for which it is kept if it is completed


async def judge(
    basis: Basis, queue: str, suspects: Sequence[Suspect], *, apply: bool
) -> AsyncIterator[tuple[Suspect, Judged]]:
    """Judge ids; with `apply`, put right what is wrong.

    Few at a time when the pending list is long and has to be searched for them.
    """
    length: Any = await basis.router.command(
        "LLEN", basis.queue(queue).pending, slot=basis.slot(queue), patience=basis.patience
    )
    # A repair makes it longer.
    length += len(suspects) if apply else 0
    known = [suspect for suspect in suspects if suspect.unseen]
    # Something that is not ours may have taken ids out of the list while it was read. Then a few
    # were passed over; where there are many, they really are not there.
    trust = len(known) * length > WORTH_SEARCHING
    for start in range(0, len(known) if trust else 0, CHUNK):
        async for judged in _judge(basis, queue, known[start : start + CHUNK], apply=apply, trust=True):
            yield judged
    unknown = [suspect for suspect in suspects if not (trust and suspect.unseen)]
    at_once = max(1, min(CHUNK, SEARCHED // max(1, length)))
    for start in range(0, len(unknown), at_once):
        async for judged in _judge(basis, queue, unknown[start : start + at_once], apply=apply, trust=False):
            yield judged


async def _judge(
    basis: Basis, queue: str, suspects: Sequence[Suspect], *, apply: bool, trust: bool
) -> AsyncIterator[tuple[Suspect, Judged]]:
    keys = basis.queue(queue)
    args: list[Any] = ["1" if apply else "", keys.task_prefix, keys.group_prefix]
    args += (basis.channel_prefix, basis.in_cluster)
    for suspect in suspects:
        args += (suspect.id, _pack((suspect.keep, list(suspect.groups), suspect.unseen if trust else b"")))
    reply: Any = await basis.run(MEND, [*place_keys(keys), keys.waiting], args, slot=basis.slot(queue))
    for suspect, (kinds, places, listed, state, home) in zip(suspects, reply, strict=True):
        found = tuple(Kind(kind) for kind in _words(kinds))
        yield suspect, Judged(found, _words(places), listed, text_of(state), home.decode())


def _words(joined: bytes) -> tuple[str, ...]:
    return tuple(joined.decode().split(",")) if joined else ()


def text_of(raw: bytes) -> str:
    """Bytes from Redis, for a reader."""
    return raw.decode("utf-8", "backslashreplace")


async def balance(basis: Basis, queue: str, unlisted: Iterable[bytes], *, expected: int | None) -> list[Any]:
    """Count the tasks of a queue and compare with its counters; with `expected`, correct the counters."""
    keys = basis.queue(queue)
    args = [keys.group_prefix, MOST_GROUPS, "" if expected is None else expected, *unlisted]
    reply: Any = await basis.run(BALANCE, [*place_keys(keys), keys.paused], args, slot=basis.slot(queue))
    return list(reply)


async def names_lock(basis: Basis, queue: str, owner: bytes, suffix: bytes) -> bool:
    """Whether the message of a task says that it holds this lock."""
    key = basis.queue(queue).task_prefix.encode() + owner
    slot, patience = basis.slot(queue), basis.patience
    if await basis.router.command("TYPE", key, slot=slot, patience=patience) != b"hash":
        return False
    message: Any = await basis.router.command("HGET", key, "msg", slot=slot, patience=patience)
    try:
        return message is not None and basis.wire.decode(message).unique_key.encode() == suffix
    except WireError:
        return False
