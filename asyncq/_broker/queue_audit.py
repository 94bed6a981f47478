"""The audit of one queue: finds the ids that deserve to be judged. `audit` tells the whole way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._broker.findings import Finding, Kind, OnProgress, Progress, Report
from asyncq._broker.judgement import (
    CHUNK,
    MOST_GROUPS,
    REGROUP,
    UNLOCK,
    Suspect,
    balance,
    judge,
    names_lock,
    place_keys,
    text_of,
)
from asyncq.errors import WireError

EXAMINE: Final = script("examine")
PAGE: Final = script("page")

PAGE_SIZE: Final = 500
SCAN_COUNT: Final = 1000
LEFT_BEHIND: Final = frozenset({b"paused", b"processed", b"failed"})
"""What makes a queue in the asynq wire, too: Go leaves it there when a queue is removed."""

LARGEST_MESSAGE: Final = 64 * 1024
"""Bytes up to which messages come with the examination; larger ones are fetched one by one."""

SAMPLES: Final = 20
"""Tasks that are remembered to see whether a queue is still there that has nothing else."""

STRANDED: Final = script("stranded")

LEASE_GRACE: Final = 5.0
"""Seconds after which a lease that ran out should have been taken back by any server that lives."""

SHARED_GRACE: Final = 100.0
"""The same with Go's servers: they look once a minute, for what ended half a minute ago."""


class QueueAudit:
    """The audit of one queue."""

    def __init__(self, basis: Basis, queue: str) -> None:
        self.name: Final = queue
        self._basis = basis
        self._keys = basis.queue(queue)
        self._slot = basis.slot(queue)
        self.report: Final = Report()  # of its own: it counts for nothing unless all of the queue was seen
        self._to_examine: list[bytes] = []
        self._to_unlock: list[bytes] = []
        self._expected: dict[bytes, bytes] = {}  # id and trace
        self._unseen: dict[bytes, bytes] = {}
        self._suspects: dict[bytes, set[bytes]] = {}
        self._said: set[tuple[Kind, bytes]] = set()
        self._groups: set[bytes] = set()
        self._unlisted: set[bytes] = set()
        self._samples: list[bytes] = []
        self.has_content = False
        self.is_broken = False

    async def _command(self, *args: Any) -> Any:
        return await self._basis.router.command(*args, slot=self._slot, patience=self._basis.patience)

    def _add(self, kind: Kind, raw: bytes, text: str, remedy: str, **known: Any) -> None:
        # SCAN may name a key twice, and is begun again when a node of a cluster goes away.
        if (kind, raw) not in self._said:
            self._said.add((kind, raw))
            self.report.add(Finding(kind, self.name, text_of(raw), text, remedy, raw, **known))

    async def begin(self) -> None:
        """Look whether the keys hold what they should: scripts cannot work on anything else."""
        kinds = ("list", "zset", "zset", "zset", "zset", "zset", "set", "zset", "hash")
        places = dict(zip(place_keys(self._keys), kinds, strict=True))
        if self._basis.wire.is_shared:
            places |= {self._keys.active: "list", **dict.fromkeys(self._keys.moments, "zset")}
        for key, right in places.items():
            found = (await self._command("TYPE", key)).decode()
            if found not in (right, "none"):
                self.is_broken = True
                text = f"is a {found} and not a {right}; the rest of the queue was not looked at"
                self._add(Kind.WRONG_TYPE, key.encode(), text, "rename or delete it, then look again")
            self.has_content |= found == right and not (right == "hash" and self._basis.wire.is_shared)

    async def is_there(self) -> bool:
        """Whether there is still something that makes it a queue."""
        keys, places = self._keys, place_keys(self._keys)
        if self._basis.wire.is_shared:
            # Go removes a queue and leaves our counters, which make none then.
            places.remove(keys.flow)
            places += (keys.active, keys.paused, keys.processed, keys.failed)
        return bool(await self._command("EXISTS", *places, *self._samples))

    async def take(self, rest: bytes) -> None:
        """One key of the queue, without the queue's prefix."""
        if self.is_broken:
            return
        if rest.startswith(b"t:"):
            self.has_content = True
            if len(self._samples) < SAMPLES:
                self._samples.append(self._keys.base.encode() + rest)
            self._to_examine.append(rest[2:])
            if len(self._to_examine) >= CHUNK:
                await self._examine_gathered()
        elif rest.startswith(b"unique:"):
            self._to_unlock.append(rest[7:])
            if len(self._to_unlock) >= CHUNK:
                await self._unlock_gathered()
        elif rest.startswith(b"g:"):
            self._groups.add(rest[2:])
        elif rest in LEFT_BEHIND:
            self.has_content = True

    async def walked(self) -> None:
        """All keys were taken."""
        await self._examine_gathered()
        await self._unlock_gathered()

    async def _examine(
        self, ids: Sequence[bytes], *, seen_in: bytes = b"", largest: int = 0
    ) -> list[tuple[str, bytes, bytes]]:
        """For each id: a word, its message if that was asked for, and its trace (examine.lua)."""
        keys = self._keys
        reply: Any = await self._basis.run(
            EXAMINE,
            [keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed, keys.aggregation_sets],
            [keys.task_prefix, keys.group_prefix, seen_in, largest, *ids],
            slot=self._slot,
        )
        words = (word.decode() for word in reply[::3])
        return list(zip(words, reply[1::3], reply[2::3], strict=True))

    async def _examine_gathered(self) -> None:
        ids, self._to_examine = self._to_examine, []
        if not ids:
            return
        self.report.examined += len(ids)
        found = await self._examine(ids, largest=LARGEST_MESSAGE)
        for task_id, (word, message, trace) in zip(ids, found, strict=True):
            if word == "suspect":
                self._suspects.setdefault(task_id, set())
                self._unseen[task_id] = trace
            elif word in ("pending", "large_pending"):
                self._expected[task_id] = trace
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
            remedy = "nothing: the server that takes it will archive it with this reason"
            self._add(Kind.UNREADABLE, task_id, f"has a message that cannot be read: {error.reason}", remedy)

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
            remedy = "write it into the hash, as the task's message says"
            self._add(Kind.UNNAMED_LOCK, suffix, text, remedy, seen_in=(owner,))
        elif word == "stray":
            text = f"is a unique lock of task {text_of(owner)}, which does not know of it"
            self._add(Kind.STRAY_LOCK, suffix, text, "remove the lock")
        elif word == "wrong_type":
            key = self._keys.unique_prefix.encode() + suffix
            self._add(Kind.WRONG_TYPE, key, "is no string", "rename or delete it, then look again")

    async def finish(self, on_progress: OnProgress) -> None:
        """Everything that follows the walk over the keys."""
        groups = await self._judge_groups()
        for zset in ("lease", "scheduled", "retry", "archived", "completed"):
            on_progress(Progress(f"{self.name}: {zset}", 0, 0))
            await self._walk_zset(getattr(self._keys, zset))
        for group in groups:
            await self._walk_zset(self._keys.group_prefix.encode() + group, seen_in=group)
        if self._basis.wire.is_shared:
            await self._read_active()
        await self._read_list(on_progress)
        await self._ask_again()
        await self._resolve()
        await self._look_at_leases()

    async def _judge_groups(self) -> list[bytes]:
        """Compare the set of groups with the groups. Returns what to walk: groups and aggregation sets."""
        sets: Any = await self._command("ZRANGE", self._keys.aggregation_sets, 0, MOST_GROUPS)
        prefix = self._keys.group_prefix.encode()
        aggregated = {key.removeprefix(prefix) for key in sets}
        async for page in _scan_members(self._command, "SSCAN", self._keys.groups):
            self._groups.update(page)
        names = sorted(self._groups - aggregated)
        for start in range(0, len(names), CHUNK):
            part = names[start : start + CHUNK]
            keys: Any = [self._keys.groups, *(prefix + name for name in part)]
            words: Any = await self._basis.run(REGROUP, keys, ["", *part], slot=self._slot)
            for name, word in zip(part, words, strict=True):
                if word == b"unlisted":
                    text = "is a group that is not in the set of groups, so nobody will aggregate it"
                    self._add(Kind.UNLISTED_GROUP, name, text, "add its name")
                    self._unlisted.add(name)
                elif word == b"empty":
                    self._add(
                        Kind.EMPTY_GROUP,
                        name,
                        "is listed as a group, and nothing waits in it",
                        "remove its name",
                    )

        return [*names, *sorted(aggregated)]

    async def _walk_zset(self, key: str | bytes, *, seen_in: bytes = b"") -> None:
        if (await self._command("TYPE", key)) not in (b"zset", b"none"):
            raw = key if isinstance(key, bytes) else key.encode()
            self._add(Kind.WRONG_TYPE, raw, "is no sorted set", "rename or delete it, then look again")
            return
        async for page in _scan_members(self._command, "ZSCAN", key):
            for start in range(0, len(page), CHUNK):
                ids = page[start : start + CHUNK]
                for task_id, (word, _, _) in zip(ids, await self._examine(ids, seen_in=seen_in), strict=True):
                    if word == "suspect":
                        self._suspects.setdefault(task_id, set()).update([seen_in] if seen_in else [])

    async def _read_active(self) -> None:
        """Go's list of active tasks: what has no lease is nowhere else, or has ended while it was read."""
        index, seen = 0, set[bytes]()
        while True:
            args = [index, index + PAGE_SIZE - 1]
            keys = [self._keys.active, self._keys.lease]
            reply: Any = await self._basis.run(STRANDED, keys, args, slot=self._slot)
            length, ids, without = reply
            for task_id in [*without, *(task_id for task_id in ids if task_id in seen)]:
                self._suspects.setdefault(task_id, set())
            seen.update(ids)
            index += PAGE_SIZE
            if index >= length:
                return

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
                    self._expected.pop(task_id, None)
                    self._unseen.pop(task_id, None)
                elif not again:
                    self._suspects.setdefault(task_id, set())
            if index + len(ids) >= length:
                return
            last = ids[-1]
            index += len(ids) - 1

    async def _ask_again(self) -> None:
        unseen, self._expected = self._expected, {}
        missing = [*unseen]
        for start in range(0, len(missing), CHUNK):
            ids = missing[start : start + CHUNK]
            for task_id, (word, _, _) in zip(ids, await self._examine(ids), strict=True):
                if word in ("pending", "suspect"):
                    self._suspects.setdefault(task_id, set())
                    self._unseen[task_id] = unseen[task_id]

    async def _resolve(self) -> None:
        """Judge the suspects, then see whether the counters agree with what is there."""
        explained, damaged = await self._judge(self._suspects, report=True)
        reply = await balance(self._basis, self.name, self._unlisted, expected=None)
        if reply[0] == b"counted" and int(reply[9]) != explained and damaged:
            # Damaged tasks move, too: look at them again, right beside the counters.
            explained, _ = await self._judge(damaged, report=False)
            reply = await balance(self._basis, self.name, self._unlisted, expected=None)
        self._note_counts(reply)
        if self._basis.wire.is_shared:
            return  # Go counts nothing into the account
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
        to_judge = [
            Suspect(task_id, tuple(sorted(groups)), self._unseen.get(task_id, b""))
            for task_id, groups in suspects.items()
        ]
        async for suspect, judged in judge(self._basis, self.name, to_judge, apply=False):
            if not judged.kinds:
                continue
            damaged[suspect.id] = suspects[suspect.id]
            explained += 1 - judged.holders
            for kind in judged.kinds if report else ():
                known: dict[str, Any] = {
                    "seen_in": suspect.groups,
                    "home": judged.home,
                    "unseen": suspect.unseen,
                }
                self._add(kind, suspect.id, *judged.explain(kind), **known)
        return explained, damaged

    def _note_counts(self, reply: list[Any]) -> None:
        states = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
        self.report.counts[self.name] = dict(zip(states, reply[1:8], strict=True))
        flow = reply[10:]
        pairs = zip(flow[::2], flow[1::2], strict=True)
        self.report.flow[self.name] = {text_of(name): int(value) for name, value in pairs}
        if reply[8] == b"1":
            self.report.paused.add(self.name)

    async def _look_at_leases(self) -> None:
        seconds, micros = await self._command("TIME")
        is_shared = self._basis.wire.is_shared
        before = int(seconds) + int(micros) / 1e6 - (SHARED_GRACE if is_shared else LEASE_GRACE)
        ended: Any = await self._command("ZCOUNT", self._keys.lease, "-inf", before)
        if ended:
            text = f"has {ended} active tasks whose lease ran out, and nobody took them back"
            remedy = "nothing: a server of this queue takes them back as soon as one runs"
            self._add(Kind.EXPIRED_LEASE, self.name.encode(), text, remedy)
        if is_shared:
            await self._look_at_sets(before)

    async def _look_at_sets(self, before: float) -> None:
        """Go's servers give them back once a minute, and ours with an aggregator; others let them lie."""
        args = (self._keys.aggregation_sets, "-inf", before, "LIMIT", 0, MOST_GROUPS)
        for key in await self._command("ZRANGEBYSCORE", *args):
            text = "holds tasks that a server took out of their group, and did not come to an end with"
            raw = key.removeprefix(self._keys.group_prefix.encode())
            self._add(Kind.STALE_SET, raw, text, "let them wait in their group again")


async def _scan_members(command: Any, scan: str, key: str | bytes) -> AsyncIterator[list[bytes]]:
    cursor: Any = 0
    while True:
        cursor, page = await command(scan, key, cursor, "COUNT", SCAN_COUNT)
        yield page[::2] if scan == "ZSCAN" else page
        if int(cursor) == 0:
            return
