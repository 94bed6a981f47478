"""Tasks that wait in groups, and the sets of them that are being aggregated.

A group whose time has come becomes an *aggregation set* (gather.lua), which belongs to one server
for the length of a lease. Its tasks are read from there, and one script puts the new task in
their place (aggregate.lua). A set whose lease ran out becomes a group again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.enqueue import Enqueue
from asyncq._broker.together import together
from asyncq._wire.messages import Envelope, NewTask
from asyncq.errors import WireError

GATHER: Final = script("gather")
COLLECT: Final = script("collect")
SET_ASIDE: Final = script("set_aside")
AGGREGATE: Final = script("aggregate")
UNGATHER: Final = script("ungather")
PROLONG: Final = script("prolong")
SIZES: Final = script("groups")

PAGE: Final = 200
"""Groups of each queue that one call looks at: about 1 ms of Redis' time."""

TASKS_IN_PAGE: Final = 500
BYTES_IN_PAGE: Final = 4 * 1024 * 1024
"""Of the messages that one call reads, but for the last of them."""

KNOWN_FOR: Final = 60
"""Seconds for which clients say when a group is full, after a server asked for it last."""

_pack: Final = msgpack.Packer(use_bin_type=False).pack


@dataclass(frozen=True, slots=True)
class Ripeness:
    """When the time of a group has come."""

    grace: float  #: seconds after its latest task came
    max_delay: float  #: seconds after its oldest one did; 0 for no limit
    max_size: int  #: when it has so many
    special: tuple[tuple[str, float, float, int], ...] = ()
    """The same for groups whose names begin with a prefix, the longest prefix first."""

    @property
    def sizes(self) -> str:
        """The sizes at which groups are full, for those who put in tasks."""
        return " ".join(map(str, sorted({self.max_size, *(size for _, _, _, size in self.special)})))


class AggregationSet(NamedTuple):
    """Tasks of one group, taken out of it by one server."""

    queue: str
    name: bytes  #: of the group, as it is in Redis
    key: bytes  #: its key in Redis, and the fence: each set has another
    size: int

    @property
    def group(self) -> str:
        """The group's name."""
        return self.name.decode("utf-8", "replace")


@dataclass(slots=True)
class Gathered:
    """What a look at the groups found."""

    sets: list[AggregationSet] = field(default_factory=list[AggregationSet])
    wait: float | None = None  #: seconds until the next group is ripe; `None` when there is none
    unusable: list[str] = field(default_factory=list[str])
    """Queues of which a key holds something else than it should."""

    def wait_at_most(self, seconds: float) -> None:
        """Come back by then."""
        self.wait = seconds if self.wait is None else min(self.wait, seconds)


@dataclass(slots=True)
class Member:
    """A task of a set."""

    id: str
    envelope: Envelope | None = None
    unreadable: str = ""  #: why there is no envelope


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Tasks that wait in a group, or are being aggregated."""

    group: str
    is_taken: bool  #: whether they are in an aggregation set
    size: int
    oldest: float  #: Unix seconds
    latest: float


class Groups:
    """The groups area."""

    def __init__(self, basis: Basis, enqueue: Enqueue) -> None:
        self._basis = basis
        self._enqueue = enqueue
        self._number = 0
        # Where the last look ended: one that stops half-way goes on from there.
        self._cursors: dict[str, str] = {}
        self._turn = 0

    async def gather(
        self,
        queues: Sequence[str],
        ripeness: Ripeness,
        *,
        want: int,
        lease: float,
        left_alone: Mapping[str, Sequence[bytes]],
    ) -> Gathered:
        """Take up to `want` ripe groups, queue by queue in turn; one call for each page of groups.

        Args:
            queues: Where to look; they share a slot.
            ripeness: When a group is ripe.
            want: How many sets.
            lease: Seconds for which they belong to this server.
            left_alone: By queue, names of groups that are not taken now.
        """
        basis, found = self._basis, Gathered()
        receipt = basis.queue(queues[0]).receipt(basis.owner + ".groups")
        self._turn += 1
        todo = list(queues)
        # Under load each of few groups is ripe, and those beyond `want` would be looked at for nothing.
        page = min(PAGE, 2 * want)
        while todo:
            self._number += 1
            left = want - len(found.sets)
            keys = [receipt]
            args: list[Any] = [basis.owner, self._number, left, self._turn % len(todo) + 1, page, lease]
            args += (ripeness.grace, ripeness.max_delay, ripeness.max_size, KNOWN_FOR)
            args += (_pack(ripeness.special), ripeness.sizes)
            began = [self._cursors.get(name, "0") for name in todo]
            for name, cursor in zip(todo, began, strict=True):
                queue = basis.queue(name)
                keys += (queue.groups, queue.aggregation_sets, queue.gathering)
                args += (queue.group_prefix, cursor, _pack(list(left_alone.get(name, ()))))
            reply: Any = await basis.run(GATHER, keys, args, slot=basis.slot(queues[0]))
            if reply[0]:
                found.wait_at_most(float(reply[0]))
            for at in range(2, len(reply), 4):
                number, name, key, size = reply[at : at + 4]
                found.sets.append(AggregationSet(todo[number - 1], name, key, size))
            is_full = len(found.sets) >= want
            todo = self._go_on(todo, reply[1], began, found, is_full=is_full)
            if is_full:
                break
            page = PAGE
        return found

    def _go_on(
        self, names: list[str], cursors: list[bytes], began: list[str], found: Gathered, *, is_full: bool
    ) -> list[str]:
        """Note how far we are; returns the queues of which not all groups were looked at."""
        left: list[str] = []
        for name, cursor, start in zip(names, cursors, began, strict=True):
            if cursor == b"unusable":
                self._cursors.pop(name, None)
                found.unusable.append(name)
            elif cursor != b"0":
                self._cursors[name] = cursor.decode()
                left.append(name)
            else:
                self._cursors.pop(name, None)
                # A look that began in the middle has not seen the beginning. One page after another
                # did, unless somebody had to stop; asking once too often is cheap.
                if start != "0" and is_full:
                    found.wait_at_most(0.0)
        if left and is_full:
            found.wait_at_most(0.0)
        return left

    async def collect(self, taken: AggregationSet) -> list[Member] | None:
        """Read the tasks of a set; `None` when it is not ours any more."""
        keys = self._basis.queue(taken.queue)
        where: Any = [taken.key, keys.aggregation_sets, keys.flow]
        slot = self._basis.slot(taken.queue)
        members: list[Member] = []
        first: bytes | int = 0
        while first != b"":
            args = [keys.task_prefix, first, TASKS_IN_PAGE, BYTES_IN_PAGE]
            reply: Any = await self._basis.run(COLLECT, where, args, slot=slot)
            first = reply[0]
            if first == b"gone":
                return None
            members += map(self._read, reply[1::2], reply[2::2])
        return members

    def _read(self, task_id: bytes, message: bytes) -> Member:
        member = Member(task_id.decode("utf-8", "replace"))
        try:
            member.envelope = self._basis.wire.decode(message)
        except WireError as error:
            member.unreadable = error.reason
        return member

    async def set_aside(self, taken: AggregationSet, members: Sequence[Member]) -> bool:
        """Archive tasks that cannot be read; false when the set is not ours any more."""
        keys = self._basis.queue(taken.queue)
        where: Any = [taken.key, keys.aggregation_sets, keys.archived]
        for start in range(0, len(members), TASKS_IN_PAGE):
            part = members[start : start + TASKS_IN_PAGE]
            args: list[str] = []
            for member in part:
                args += (member.id, f"cannot be read: {member.unreadable}")
            tasks = [keys.task(member.id) for member in part]
            slot = self._basis.slot(taken.queue)
            if await self._basis.run(SET_ASIDE, where + tasks, args, slot=slot) != b"ok":
                return False
        return True

    async def aggregate(self, taken: AggregationSet, members: Sequence[Member], new: NewTask) -> str:
        """Enqueue one task in place of those of a set, in one step.

        Only where the two queues are in different slots of a cluster these are two steps: first the
        new task, then the end of the set. Whoever comes after a crash in between and makes a task of
        the same members finds that it is there, because its id is made of theirs.

        Returns:
            A word of aggregate.lua.
        """
        if self._basis.slot(taken.queue) == self._basis.slot(new.queue):
            await self._announce(new.queue)
            word = await self._aggregate(taken, len(members), new)
            if new.queue != taken.queue:
                # Somebody may have removed that queue, and its name, in between.
                await self._announce(new.queue)
            return word
        is_ours = not new.envelope.nonce
        if is_ours:
            new.id = _id_from(taken, members)
        word = (await self._enqueue.submit(new)).word
        if word == "conflict" and is_ours:
            word = "already"
        if word in ("conflict", "duplicate", "unusable"):
            return word
        nothing = NewTask(taken.queue, "", Envelope("", b""))
        gone = await self._aggregate(taken, len(members), nothing)
        return word if gone == "done" else gone

    async def _aggregate(self, taken: AggregationSet, size: int, new: NewTask) -> str:
        basis, envelope = self._basis, new.envelope
        source, target = basis.queue(taken.queue), basis.queue(new.queue)
        keys: Any = [taken.key, source.aggregation_sets, source.flow, source.awaited]
        keys += (target.scheduled, target.groups, target.pending, target.flow, target.waiting)
        keys.append(target.task(new.id))
        suffix = envelope.unique_key if new.unique_ttl else ""
        if new.unique_ttl:
            keys.append(target.unique(suffix))
        if envelope.group:
            keys += (target.group(envelope.group), target.gathering)
        args: list[Any] = [size, source.task_prefix, source.unique_prefix, target.task_prefix]
        args += (basis.channel_prefix, basis.wire.keys.news, basis.in_cluster, new.id)
        args.append(basis.wire.encode(new.queue, new.id, envelope))
        args.append(_pack((new.at, new.delay, new.unique_ttl, suffix, envelope.group)))
        word: Any = await basis.run(AGGREGATE, keys, args, slot=basis.slot(taken.queue))
        return str(word.decode())

    async def _announce(self, queue: str) -> None:
        """Let tools see the queue of the new task."""
        router, queues = self._basis.router, self._basis.wire.keys.queues
        slot, patience = router.slot_of(queues), self._basis.patience
        await router.command("SADD", queues, queue, slot=slot, patience=patience)

    async def release(self, sets: Sequence[AggregationSet], *, tell: bool) -> None:
        """Let the tasks of sets wait in their groups again; what is not ours any more is left alone.

        Args:
            sets: Of this server.
            tell: Let other servers know that there are groups to look at.
        """
        news = self._basis.wire.keys.news if tell else ""

        async def release(queue: str, mine: list[AggregationSet]) -> None:
            keys = self._basis.queue(queue)
            where: Any = [keys.groups, keys.aggregation_sets, *(taken.key for taken in mine)]
            await self._basis.run(UNGATHER, where, [keys.group_prefix, news], slot=self._basis.slot(queue))

        await together([release(queue, mine) for queue, mine in _by_queue(sets).items()])

    async def prolong(self, sets: Sequence[AggregationSet], *, lease: float) -> list[AggregationSet]:
        """Keep sets for longer.

        Returns:
            Those that are not ours any more.

        Raises:
            BrokerUnavailableError: Not all could be kept.
        """
        lost: list[AggregationSet] = []

        async def prolong(queue: str, mine: list[AggregationSet]) -> None:
            where = [self._basis.queue(queue).aggregation_sets]
            args: list[Any] = [lease, *(taken.key for taken in mine)]
            gone: Any = await self._basis.run(PROLONG, where, args, slot=self._basis.slot(queue))
            indexes: list[int] = gone
            lost.extend(mine[index - 1] for index in indexes)

        await together([prolong(queue, mine) for queue, mine in _by_queue(sets).items()])
        return lost

    async def survey(self, queue: str) -> list[Surveyed]:
        """Sizes and ages of the groups of a queue, and of what is being aggregated."""
        keys = self._basis.queue(queue)
        found: dict[bytes, Surveyed] = {}
        cursor = b"0"
        while True:
            reply: Any = await self._basis.run(
                SIZES,
                [keys.groups, keys.aggregation_sets],
                [keys.group_prefix, cursor, PAGE],
                slot=self._basis.slot(queue),
            )
            for at in range(1, len(reply), 5):
                name, taken, size, oldest, latest = reply[at : at + 5]
                # SSCAN may name a group twice.
                found[taken or b"group " + name] = Surveyed(
                    name.decode("utf-8", "replace"), bool(taken), size, float(oldest), float(latest)
                )
            cursor = reply[0]
            if cursor == b"0":
                return list(found.values())


def _id_from(taken: AggregationSet, members: Sequence[Member]) -> str:
    """An id that only a task made of the same members has."""
    of = "\0".join([taken.queue, taken.group, *sorted(member.id for member in members)])
    return hashlib.blake2b(of.encode(errors="replace"), digest_size=11).hexdigest()


def _by_queue(sets: Sequence[AggregationSet]) -> dict[str, list[AggregationSet]]:
    by_queue: dict[str, list[AggregationSet]] = {}
    for taken in sets:
        by_queue.setdefault(taken.queue, []).append(taken)
    return by_queue
