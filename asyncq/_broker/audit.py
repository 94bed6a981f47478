"""Proves that every task is in exactly one place, and that all that hangs on tasks agrees.

An audit runs beside servers and clients at work and raises no false alarm: whatever is called
damage was judged by one script, which looked at all places of an id at one moment. Everything
else here only finds the ids that deserve such a look:

1. All keys are walked (SCAN). Of each task hash `examine.lua` tells whether state and sorted sets
   agree; whether a pending task is in the pending list remains to be seen. Locks are judged.
2. The sorted sets are walked (ZSCAN), for ids without a hash.
3. The pending list is read from left to right. Tasks are pushed on the left, and taken and put
   back on the right, so nothing that stays in the list meanwhile is missed.
4. What was pending in 1 and not seen in 3 is asked again; usually it was delivered meanwhile.
5. What is left is judged by `mend.lua`, which searches the list for each of them.
6. The counters are compared with the sizes of all places by one script.

Memory: the ids of pending tasks, about 120 MB for a million. Redis is held up for a few
milliseconds by each call; about 20 s of its time for a million tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import msgpack

from asyncq._broker.basis import Basis, script
from asyncq._broker.broker import Broker
from asyncq._broker.findings import Finding, Judged, Kind, OnProgress, Progress, Report
from asyncq._wire.keys import QueueKeys
from asyncq.errors import BrokerUnavailableError, WireError

EXAMINE: Final = script("examine")
PAGE: Final = script("page")
MEND: Final = script("mend")
BALANCE: Final = script("balance")
UNLOCK: Final = script("unlock")
REGROUP: Final = script("regroup")

CHUNK: Final = 200
"""Tasks examined by one call: about 2 ms of Redis' time."""

PAGE_SIZE: Final = 1000
SCAN_COUNT: Final = 1000
LARGEST_MESSAGE: Final = 64 * 1024
"""Bytes up to which messages come with the examination; larger ones are fetched one by one."""

SEARCHED: Final = 1_000_000
"""List entries compared by one call that searches the pending list: about 20 ms of Redis' time."""

MOST_GROUPS: Final = 10_000
"""Groups whose sizes are added up by one call."""

LEASE_GRACE: Final = 5.0
"""Seconds after which a lease that ran out should have been taken back by any server that lives."""

_pack: Final = msgpack.Packer(use_bin_type=False).pack


def basis_of(broker: Broker | Basis) -> Basis:
    """Whichever the caller has."""
    return broker.basis if isinstance(broker, Broker) else broker


def place_keys(keys: QueueKeys) -> list[str]:
    """The keys that `mend` and `balance` begin with."""
    return [
        keys.pending, keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed,
        keys.groups, keys.aggregation_sets, keys.flow,
    ]  # fmt: skip


async def judge(
    basis: Basis, queue: str, ids: Sequence[tuple[bytes, Sequence[bytes], float]], *, apply: bool
) -> AsyncIterator[tuple[bytes, Judged]]:
    """Judge ids, few at a time when the pending list is long; with `apply`, put right what is wrong.

    Each id comes with the groups in which it was seen, and the seconds it is kept if it is completed.
    """
    keys, slot = basis.queue(queue), basis.slot(queue)
    length: Any = await basis.router.command("LLEN", keys.pending, slot=slot, patience=basis.patience)
    at_once = max(1, min(CHUNK, SEARCHED // max(1, length)))
    for start in range(0, len(ids), at_once):
        part = ids[start : start + at_once]
        args: list[Any] = ["1" if apply else "", keys.task_prefix, keys.group_prefix]
        args += (basis.channel_prefix, basis.in_cluster)
        for task_id, groups, keep in part:
            args += (task_id, _pack((keep, list(groups))))
        reply: Any = await basis.run(MEND, [*place_keys(keys), keys.waiting], args, slot=slot)
        for (task_id, _, _), (kinds, places, listed, state, home, _) in zip(part, reply, strict=True):
            yield (
                task_id,
                Judged(
                    tuple(Kind(kind) for kind in _words(kinds)),
                    _words(places),
                    listed,
                    text_of(state),
                    home.decode(),
                ),
            )


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


class QueueAudit:
    """The audit of one queue."""

    def __init__(self, basis: Basis, queue: str, report: Report) -> None:
        self.name: Final = queue
        self._basis = basis
        self._keys = basis.queue(queue)
        self._slot = basis.slot(queue)
        self._report = report
        self._to_examine: list[bytes] = []
        self._to_unlock: list[bytes] = []
        self._expected: set[bytes] = set()
        self._suspects: dict[bytes, set[bytes]] = {}
        self._unreadable: set[bytes] = set()
        self.groups: set[bytes] = set()
        self.has_content = False
        self.is_broken = False

    async def _command(self, *args: Any) -> Any:
        return await self._basis.router.command(*args, slot=self._slot, patience=self._basis.patience)

    def _add(self, kind: Kind, raw: bytes, text: str, remedy: str, seen_in: Iterable[bytes] = ()) -> None:
        self._report.add(Finding(kind, self.name, text_of(raw), text, remedy, raw, tuple(seen_in)))

    async def begin(self) -> None:
        """Look whether the keys hold what they should: scripts cannot work on anything else."""
        kinds = ("list", "zset", "zset", "zset", "zset", "zset", "set", "zset", "hash")
        for key, right in zip(place_keys(self._keys), kinds, strict=True):
            found = (await self._command("TYPE", key)).decode()
            if found not in (right, "none"):
                self.is_broken = True
                text = f"is a {found} and not a {right}; the rest of the queue was not looked at"
                self._add(Kind.WRONG_TYPE, key.encode(), text, "rename or delete it, then look again")
            self.has_content |= found == right

    async def take(self, rest: bytes) -> None:
        """One key of the queue, without the queue's prefix."""
        if self.is_broken:
            return
        if rest.startswith(b"t:"):
            self.has_content = True
            self._to_examine.append(rest[2:])
            if len(self._to_examine) >= CHUNK:
                await self._examine_gathered()
        elif rest.startswith(b"unique:"):
            self._to_unlock.append(rest[7:])
            if len(self._to_unlock) >= CHUNK:
                await self._unlock_gathered()
        elif rest.startswith(b"g:"):
            self.groups.add(rest[2:])

    async def walked(self) -> None:
        """All keys were taken."""
        await self._examine_gathered()
        await self._unlock_gathered()

    async def _examine(
        self, ids: Sequence[bytes], *, seen_in: bytes = b"", largest: int = 0
    ) -> list[tuple[str, bytes]]:
        keys = self._keys
        reply: Any = await self._basis.run(
            EXAMINE,
            [keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed, keys.aggregation_sets],
            [keys.task_prefix, keys.group_prefix, seen_in, largest, *ids],
            slot=self._slot,
        )
        return [(word.decode(), message) for word, message in zip(reply[::2], reply[1::2], strict=True)]

    async def _examine_gathered(self) -> None:
        ids, self._to_examine = self._to_examine, []
        if not ids:
            return
        self._report.examined += len(ids)
        for task_id, (word, message) in zip(
            ids, await self._examine(ids, largest=LARGEST_MESSAGE), strict=True
        ):
            if word == "suspect":
                self._suspects.setdefault(task_id, set())
            elif word in ("pending", "large_pending"):
                self._expected.add(task_id)
            if message:
                self._read(task_id, message)
            elif word.startswith("large"):
                key = self._keys.task_prefix.encode() + task_id
                whole = await self._command("HGET", key, "msg")
                if whole is not None:
                    self._read(task_id, whole)

    def _read(self, task_id: bytes, message: bytes) -> None:
        try:
            self._basis.wire.decode(message)
        except WireError as error:
            if task_id not in self._unreadable:
                self._unreadable.add(task_id)
                remedy = "nothing: the server that takes it will archive it with this reason"
                self._add(
                    Kind.UNREADABLE, task_id, f"has a message that cannot be read: {error.reason}", remedy
                )

    async def _unlock_gathered(self) -> None:
        suffixes, self._to_unlock = self._to_unlock, []
        if not suffixes:
            return
        prefix = self._keys.unique_prefix.encode()
        args: list[Any] = ["", self._keys.task_prefix]
        for suffix in suffixes:
            args += (suffix, "")
        locks: Any = [prefix + suffix for suffix in suffixes]
        reply: Any = await self._basis.run(UNLOCK, locks, args, slot=self._slot)
        for suffix, word, owner in zip(suffixes, reply[::2], reply[1::2], strict=True):
            await self._judge_lock(suffix, word.decode(), owner)

    async def _judge_lock(self, suffix: bytes, word: str, owner: bytes) -> None:
        if word == "dead":
            text = f"is a unique lock of task {text_of(owner)}, which is not there"
            self._add(Kind.DEAD_LOCK, suffix, text, "remove the lock")
        elif word == "stray" and await names_lock(self._basis, self.name, owner, suffix):
            text = f"is a unique lock of task {text_of(owner)}, whose hash does not name it"
            self._add(
                Kind.UNNAMED_LOCK, suffix, text, "write it into the hash, as the task's message says", [owner]
            )
        elif word == "stray":
            text = f"is a unique lock of task {text_of(owner)}, which does not know of it"
            self._add(Kind.STRAY_LOCK, suffix, text, "remove the lock")
        elif word == "wrong_type":
            key = self._keys.unique_prefix.encode() + suffix
            self._add(Kind.WRONG_TYPE, key, "is no string", "rename or delete it, then look again")

    async def finish(self, on_progress: OnProgress) -> None:
        """Everything that follows the walk over the keys."""
        await self._judge_groups()
        for zset in ("lease", "scheduled", "retry", "archived", "completed"):
            on_progress(Progress(f"{self.name}: {zset}", 0, 0))
            await self._walk_zset(getattr(self._keys, zset))
        for group in sorted(self.groups):
            await self._walk_zset(self._keys.group_prefix.encode() + group, seen_in=group)
        await self._read_list(on_progress)
        await self._ask_again()
        await self._resolve()
        await self._look_at_leases()

    async def _judge_groups(self) -> None:
        """Bring the set of groups and the groups together."""
        sets: Any = await self._command("ZRANGE", self._keys.aggregation_sets, 0, MOST_GROUPS)
        prefix = self._keys.group_prefix.encode()
        self.groups -= {key.removeprefix(prefix) for key in sets}
        async for page in _scan_members(self._command, "SSCAN", self._keys.groups):
            self.groups.update(page)
        names = sorted(self.groups)
        for start in range(0, len(names), CHUNK):
            part = names[start : start + CHUNK]
            keys: Any = [self._keys.groups, *(prefix + name for name in part)]
            words: Any = await self._basis.run(REGROUP, keys, ["", *part], slot=self._slot)
            for name, word in zip(part, words, strict=True):
                if word == b"unlisted":
                    text = "is a group that is not in the set of groups, so nobody will aggregate it"
                    self._add(Kind.UNLISTED_GROUP, name, text, "add its name")
                elif word == b"empty":
                    self._add(
                        Kind.EMPTY_GROUP,
                        name,
                        "is listed as a group, and nothing waits in it",
                        "remove its name",
                    )

    async def _walk_zset(self, key: str | bytes, *, seen_in: bytes = b"") -> None:
        if (await self._command("TYPE", key)) not in (b"zset", b"none"):
            raw = key if isinstance(key, bytes) else key.encode()
            self._add(Kind.WRONG_TYPE, raw, "is no sorted set", "rename or delete it, then look again")
            return
        async for page in _scan_members(self._command, "ZSCAN", key):
            for start in range(0, len(page), CHUNK):
                ids = page[start : start + CHUNK]
                for task_id, (word, _) in zip(ids, await self._examine(ids, seen_in=seen_in), strict=True):
                    if word == "suspect":
                        self._suspects.setdefault(task_id, set()).update([seen_in] if seen_in else [])

    async def _read_list(self, on_progress: OnProgress) -> None:
        seen: set[bytes] = set()
        index, last = 0, None
        while True:
            args = [index, index + PAGE_SIZE - 1, self._keys.task_prefix]
            reply: Any = await self._basis.run(PAGE, [self._keys.pending], args, slot=self._slot)
            length, ids, odd = reply
            on_progress(Progress(f"{self.name}: pending", index, length))
            for task_id in odd:
                self._suspects.setdefault(task_id, set())
            # What was pushed on the left meanwhile moved the rest to the right: what was read before
            # the last id of the page before is read again and is no duplicate.
            again = last is not None and last not in ids
            fresh = ids[ids.index(last) + 1 :] if last is not None and not again else ids
            for task_id in fresh:
                if task_id not in seen:
                    seen.add(task_id)
                    self._expected.discard(task_id)
                elif not again:
                    self._suspects.setdefault(task_id, set())
            if index + len(ids) >= length:
                return
            last = ids[-1]
            index += len(ids) - 1

    async def _ask_again(self) -> None:
        missing, self._expected = [*self._expected], set()
        for start in range(0, len(missing), CHUNK):
            ids = missing[start : start + CHUNK]
            for task_id, (word, _) in zip(ids, await self._examine(ids), strict=True):
                if word in ("pending", "suspect"):
                    self._suspects.setdefault(task_id, set())

    async def _resolve(self) -> None:
        """Judge the suspects, then see whether the counters agree with what is there."""
        unlisted = [
            f.raw for f in self._report.findings if f.kind is Kind.UNLISTED_GROUP and f.queue == self.name
        ]
        explained, damaged = await self._judge(self._suspects, report=True)
        reply = await balance(self._basis, self.name, unlisted, expected=None)
        if reply[0] == b"counted" and int(reply[9]) != explained and damaged:
            # Damaged tasks move, too: look at them again, right beside the counters.
            explained, _ = await self._judge(damaged, report=False)
            reply = await balance(self._basis, self.name, unlisted, expected=None)
        self._note_counts(reply)
        if reply[0] != b"counted":
            text = f"has more than {MOST_GROUPS} groups; its counters were not checked"
            self._add(Kind.NOT_COUNTED, self.name.encode(), text, "nothing")
        elif int(reply[9]) != explained:
            difference = int(reply[9]) - explained
            text = (
                f"has counters that know {abs(difference)} tasks {'more' if difference > 0 else 'less'}"
                " than there are: something added or removed tasks without asyncq"
            )
            self._add(
                Kind.COUNTERS, self.name.encode(), text, f"note {-difference:+d} in the counter `corrected`"
            )

    async def _judge(
        self, suspects: dict[bytes, set[bytes]], *, report: bool
    ) -> tuple[int, dict[bytes, set[bytes]]]:
        """Judge; returns the surplus that the damage explains, and the damaged ids."""
        explained, damaged = 0, dict[bytes, set[bytes]]()
        ids = [(task_id, sorted(groups), 0.0) for task_id, groups in suspects.items()]
        async for task_id, judged in judge(self._basis, self.name, ids, apply=False):
            if not judged.kinds:
                continue
            groups = suspects[task_id]
            damaged[task_id] = groups
            explained += 1 - judged.holders
            for kind in judged.kinds if report else ():
                self._add(kind, task_id, *judged.explain(kind), groups)
        return explained, damaged

    def _note_counts(self, reply: list[Any]) -> None:
        states = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
        self._report.counts[self.name] = dict(zip(states, reply[1:8], strict=True))
        flow = reply[10:]
        pairs = zip(flow[::2], flow[1::2], strict=True)
        self._report.flow[self.name] = {text_of(name): int(value) for name, value in pairs}
        if reply[8] == b"1":
            self._report.paused.add(self.name)

    async def _look_at_leases(self) -> None:
        seconds, micros = await self._command("TIME")
        before = int(seconds) + int(micros) / 1e6 - LEASE_GRACE
        ended: Any = await self._command("ZCOUNT", self._keys.lease, "-inf", before)
        if ended:
            text = f"has {ended} active tasks whose lease ran out, and nobody took them back"
            remedy = "nothing: a server of this queue takes them back as soon as one runs"
            self._add(Kind.EXPIRED_LEASE, self.name.encode(), text, remedy)


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


async def _scan_members(command: Any, scan: str, key: str | bytes) -> AsyncIterator[list[bytes]]:
    cursor: Any = 0
    while True:
        cursor, page = await command(scan, key, cursor, "COUNT", SCAN_COUNT)
        yield page[::2] if scan == "ZSCAN" else page
        if int(cursor) == 0:
            return


async def audit(
    broker: Broker | Basis, *, queues: Sequence[str] | None = None, on_progress: OnProgress | None = None
) -> Report:
    """Look at every key of the queues and report what is not as it should be. Changes nothing.

    May be called while everything runs. A queue is known by its keys, also when its name is not
    in the set of queues.

    Args:
        broker: The way to Redis.
        queues: Names; `None` for all.
        on_progress: Called often, with how far it is.

    Raises:
        BrokerUnavailableError: Redis was not reached for longer than the patience of the broker.
    """
    return await Audit(basis_of(broker), queues, on_progress or _silent).run()


def _silent(progress: Progress) -> None:
    """Say nothing."""


class Audit:
    """One audit over one or all queues."""

    def __init__(self, basis: Basis, queues: Sequence[str] | None, on_progress: OnProgress) -> None:
        self._basis = basis
        self._wanted = queues
        self._on_progress = on_progress
        self._prefix = basis.wire.keys.prefix.encode() + b"{"
        self.report: Final = Report()
        self._audits: dict[str, QueueAudit] = {}

    async def run(self) -> Report:
        """Do it."""
        listed = await self._listed()
        for name in sorted(listed) if self._wanted is None else self._wanted:
            await self._of(name)
        await self._walk()
        for one in [*self._audits.values()]:
            if not one.is_broken:
                await one.walked()
                await one.finish(self._on_progress)
            elif one.name not in self.report.counts:
                self.report.counts[one.name] = {}
        await self._look_for_unlisted()
        return self.report

    async def _of(self, name: str) -> QueueAudit:
        found = self._audits.get(name)
        if found is None:
            found = self._audits[name] = QueueAudit(self._basis, name, self.report)
            await found.begin()
        return found

    async def _listed(self) -> set[str]:
        router, queues = self._basis.router, self._basis.wire.keys.queues
        names: Any = await router.command(
            "SMEMBERS", queues, slot=router.slot_of(queues), patience=self._basis.patience
        )
        return {name.decode("utf-8", "replace") for name in names}

    async def _walk(self) -> None:
        router, patience = self._basis.router, self._basis.patience
        if self._wanted is not None:
            for name in self._wanted:
                slot = self._basis.slot(name)
                await self._walk_node(
                    _escape(self._basis.queue(name).base), {"slot": slot, "patience": patience}
                )
        elif not router.is_cluster:
            await self._walk_node(_escape(self._prefix.decode()), {"slot": 0, "patience": patience})
        else:
            await self._walk_cluster()

    async def _walk_cluster(self) -> None:
        """Walk each node. When one goes away, begin again: keys may have moved, and to look twice does no harm."""
        router, loop = self._basis.router, asyncio.get_running_loop()
        give_up_at = loop.time() + max(self._basis.patience, 1.0)
        while True:
            try:
                for address in await router.ask_everywhere("DBSIZE"):
                    await self._walk_node(_escape(self._prefix.decode()), {"address": address})
            except BrokerUnavailableError:
                if loop.time() > give_up_at:
                    raise
                router._topology.forget()
                await asyncio.sleep(0.2)
            else:
                return

    async def _walk_node(self, pattern: str, target: dict[str, Any]) -> None:
        router = self._basis.router

        async def ask(*command: Any) -> Any:
            if "address" in target:
                return await router._ask(target["address"], command)
            return await router.command(*command, **target)

        total: Any = await ask("DBSIZE")
        cursor: Any = 0
        walked = 0
        while True:
            cursor, keys = await ask("SCAN", cursor, "MATCH", pattern + "*", "COUNT", SCAN_COUNT)
            for key in keys:
                await self._take(key)
            walked = min(total, walked + SCAN_COUNT)
            self._on_progress(Progress("keys", walked, total))
            if int(cursor) == 0:
                return

    async def _take(self, key: bytes) -> None:
        name, brace, rest = key[len(self._prefix) :].partition(b"}:")
        try:
            queue = name.decode()
        except UnicodeDecodeError:
            return
        if brace and queue and (self._wanted is None or queue in self._wanted) and _is_of_tasks(rest):
            await (await self._of(queue)).take(rest)

    async def _look_for_unlisted(self) -> None:
        """A client puts the name of its queue into the set beside its first task, in a cluster on another node."""
        missing: list[str] = []
        for attempt in range(5):
            listed = await self._listed()
            missing = [name for name, one in self._audits.items() if one.has_content and name not in listed]
            if not missing:
                return
            await asyncio.sleep(0.05 * attempt)
        for name in missing:
            text = "is a queue that is not in the set of queues, so tools do not show it"
            self.report.add(Finding(Kind.UNLISTED_QUEUE, name, name, text, "add its name", name.encode()))


_OF_TASKS: Final = (b"t:", b"g:", b"unique:")
_PLACES: Final = frozenset(
    b"pending lease scheduled retry archived completed groups aggregation_sets flow".split()
)


def _is_of_tasks(rest: bytes) -> bool:
    """Receipts and waiting servers do not make a queue."""
    return rest.startswith(_OF_TASKS) or rest in _PLACES


def _escape(pattern: str) -> str:
    for special in "\\*?[]":
        pattern = pattern.replace(special, "\\" + special)
    return pattern
