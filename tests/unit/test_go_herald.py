"""What a scheduler says of its entries to Go's tools."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from asyncq._scheduling.go_herald import LONGEST_PAYLOAD, MOST_SHOWN, GoHerald, record
from asyncq._timetable import Timetable
from asyncq._wire.asynq_records import NEVER, SchedulerEntry, Timestamp
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, define
from asyncq.task import Task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CODECS = Codecs().on("json")


class _Area:
    """Keeps what was announced."""

    def __init__(self) -> None:
        self.entries: list[SchedulerEntry] = []

    async def announce(self, process: str, entries: list[bytes], *, now: float, ttl: float) -> None:
        del process, now
        assert ttl == 20.0
        self.entries = [SchedulerEntry.decode(entry) for entry in entries]


class _Counting:
    name = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, payload: object) -> bytes:
        self.calls += 1
        return str(payload).encode()

    def decode(self, raw: bytes) -> object:
        return raw


def _entry(spec: str | timedelta | datetime, entry_id: str = "e", payload: Any = None, **given: Any) -> Entry:
    return define(PeriodicTask(spec, Task("report", payload), id=entry_id, **given), codecs=CODECS)


def _herald(*entries: Entry, codecs: Codecs = CODECS, is_at_rest: bool = False) -> tuple[GoHerald, _Area]:
    area, table = _Area(), Timetable()
    for entry in entries:
        table.add(entry, NOON)
    herald = GoHerald(
        cast("Any", area), "s", table, codecs=codecs, is_at_rest=lambda: is_at_rest, interval=10.0
    )
    return herald, area


def test_an_entry_is_said_as_go_says_it() -> None:
    """With its options as text."""
    said = record(_entry("0 9 * * *", payload={"of": "sales"}, queue="low", timeout=90, unique=60), CODECS)
    assert (said.entry_id, said.spec, said.task_type) == ("e", "0 9 * * *", "report")
    assert said.payload == b'{"of":"sales"}'
    assert said.options == ('Queue("low")', "Timeout(1m30s)", "Unique(1m0s)")


@pytest.mark.parametrize(
    ("spec", "zone", "text"),
    [
        ("0 9 * * *", "UTC", "0 9 * * *"),
        ("0 9 * * *", "Asia/Tokyo", "CRON_TZ=Asia/Tokyo 0 9 * * *"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "UTC", "CRON_TZ=Asia/Tokyo 0 9 * * *"),
        (timedelta(minutes=90), "Asia/Tokyo", "@every 5400s"),
        (datetime(2027, 1, 1, tzinfo=UTC), "Asia/Tokyo", "@at 2027-01-01T00:00:00+00:00"),
    ],
)
def test_the_zone_is_part_of_the_spec(spec: Any, zone: str, text: str) -> None:
    """Go's tools have no other place for it."""
    assert record(_entry(spec, timezone=zone), CODECS).spec == text


async def test_the_times_are_those_of_the_timetable() -> None:
    """One that never ran has Go's zero time."""
    late = _entry("@every 2h", "late")
    late.last_at = NOON - timedelta(hours=1)
    herald, area = _herald(late, _entry("@every 1h", "soon"))
    await herald.tick()
    soon, said = area.entries
    at = NOON.timestamp()
    assert (soon.entry_id, soon.next, soon.prev) == ("soon", Timestamp.of(at + 3600), NEVER)
    assert (said.entry_id, said.next, said.prev) == ("late", Timestamp.of(at + 7200), Timestamp.of(at - 3600))


async def test_of_many_entries_the_next_ones_are_said() -> None:
    """A hundred thousand would be megabytes every ten seconds. Each is encoded once."""
    counting = _Counting()
    codecs = Codecs(counting)
    entries = [_entry(f"@every {number + 1}s", f"e{number}", "x" * 5000) for number in range(MOST_SHOWN + 50)]
    herald, area = _herald(*reversed(entries), codecs=codecs)
    await herald.tick()
    await herald.tick()
    assert [entry.entry_id for entry in area.entries] == [f"e{number}" for number in range(MOST_SHOWN)]
    assert {len(entry.payload) for entry in area.entries} == {LONGEST_PAYLOAD}
    assert counting.calls == MOST_SHOWN


async def test_a_scheduler_at_rest_has_nothing_to_say() -> None:
    """Nothing of it is due next."""
    herald, area = _herald(_entry("@hourly"), is_at_rest=True)
    await herald.tick()
    assert area.entries == []


async def test_it_is_said_often_at_first() -> None:
    """Then as often as our own record."""
    herald, _ = _herald()
    assert [await herald.tick() for _ in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


async def test_a_payload_that_cannot_be_encoded_is_left_out() -> None:
    """The scheduler goes on."""

    class Broken(_Counting):
        def encode(self, payload: object) -> bytes:
            raise OSError(payload)

    herald, area = _herald(_entry("@hourly", payload="x"), codecs=Codecs(Broken()))
    await herald.tick()
    assert [entry.payload for entry in area.entries] == [b""]
