"""Entries: ids that last, definitions that are compared, and mistakes that are found at once."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from asyncq._wire.messages import Envelope
from asyncq.codecs import Codecs
from asyncq.entries import Entry, PeriodicTask, Rules, define
from asyncq.errors import ConfigError
from asyncq.task import Task

ONE = UUID(int=1)


def entry(spec: str | timedelta | datetime, task: Task, **options: Any) -> Entry:
    """Return an entry."""
    timezone = options.pop("zone", UTC)
    return define(PeriodicTask(spec, task, **options), timezone=timezone, codecs=Codecs())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (entry("@hourly", Task("report")), "@hourly report"),
        (entry(timedelta(seconds=90), Task("report")), "@every 90s report"),
        (entry(" 0 9 * * mon ", Task("report")), "0 9 * * mon report"),
        (entry("@hourly", Task("report"), id="mine"), "mine"),
        (entry("@every 1s", Task("report"), zone="Asia/Tokyo"), "@every 1s report"),
    ],
)
def test_an_id_is_made_of_spec_and_type(made: Entry, expected: str) -> None:
    """Which are what people know an entry by."""
    assert made.id == expected


def test_one_instant_is_one_entry_in_whatever_zone_it_was_written() -> None:
    """A provider gets it from a database in UTC, and code says it in the zone of its author."""
    at = datetime(2027, 1, 31, 17, 30, tzinfo=UTC)
    made = [entry(at.astimezone(zone), Task("party"), zone=zone) for zone in (UTC, ZoneInfo("Asia/Tokyo"))]
    assert made[0].id == "@at 2027-01-31T17:30:00+00:00 party"
    assert (made[0].id, made[0].definition) == (made[1].id, made[1].definition)


def test_what_else_is_said_goes_into_the_id_as_a_digest() -> None:
    """Else which of two entries gets which id would depend on their order, and differ after a restart."""
    entries = [
        entry("@daily", Task("report")),
        entry("@daily", Task("report", {"of": "sales"})),
        entry("@daily", Task("report", {"of": "stock"})),
        entry("@daily", Task("report"), queue="low"),
        entry("@daily", Task("report", queue="high")),
        entry("@daily", Task("report"), headers={"a": "b"}),
        entry("@daily", Task("report"), timezone="Asia/Tokyo"),
        entry("@daily", Task("report", b"raw")),
        entry("@daily", Task("report", "raw")),
    ]
    assert len({one.id for one in entries}) == len(entries)
    assert len({one.definition for one in entries}) == len(entries)
    assert all(one.id.startswith("@daily report") for one in entries)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Task("x", {"a": 1, "b": [1, {"c": 2, "d": 3}]}), Task("x", {"b": [1, {"d": 3, "c": 2}], "a": 1})),
        (Task("x", (1, 2)), Task("x", [1, 2])),
        (Task("x", {"id": ONE, "at": datetime(2026, 1, 1, tzinfo=UTC)}),) * 2,
        (Task("x", queue="low", max_retry=3), Task("x", max_retry=3, queue="low")),
    ],
)
def test_equal_tasks_have_equal_definitions(one: Task, other: Task) -> None:
    """A provider that reads a database does not promise the order of keys."""
    assert entry("@daily", one).definition == entry("@daily", other).definition


def test_where_an_option_was_given_makes_no_difference() -> None:
    """Beside the task or in it: the same is enqueued."""
    beside, inside = entry("@daily", Task("x"), queue="low"), entry("@daily", Task("x", queue="low"))
    assert (beside.id, beside.definition, beside.queue) == (inside.id, inside.definition, "low")


def test_ids_are_the_same_in_another_process() -> None:
    """Python draws its hashes anew for each process; a history is found by the id."""
    program = (
        "from asyncq.entries import PeriodicTask, define\n"
        "from asyncq import Codecs, Task\n"
        "task = Task('report', {'b': {3, 1}, 'a': 1.5}, queue='low', headers={'x': 'y'})\n"
        "print(define(PeriodicTask('@daily', task), codecs=Codecs()).id)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    task = Task("report", {"a": 1.5, "b": {1, 3}}, queue="low", headers={"x": "y"})
    assert done.stdout.strip() == entry("@daily", task).id


class _Sealed:
    """A codec whose bytes are different each time, as those of an encryption are."""

    name = "sealed"

    def __init__(self) -> None:
        self.count = 0

    def encode(self, payload: object, /) -> bytes:
        """Return other bytes than the last time."""
        self.count += 1
        return f"{self.count} {payload}".encode()

    def decode(self, raw: bytes, /) -> object:
        """Return what was encoded."""
        return raw.partition(b" ")[2]


def test_encryption_does_not_change_a_definition() -> None:
    """Else each sync would replace every entry."""
    codecs = Codecs(_Sealed())
    one, other = (define(PeriodicTask("@daily", Task("x", {"a": ONE})), codecs=codecs) for _ in range(2))
    assert one.definition == other.definition


def test_an_id_with_braces_or_without_end_is_not_made() -> None:
    """Braces would move the keys of an entry to another slot of a cluster."""
    for kind in ("a{b}c", "}{", "x" * 500):
        made = entry("@daily", Task(kind)).id
        assert "{" not in made
        assert len(made) <= 200
    assert entry("@daily", Task("a{b")).id != entry("@daily", Task("a(b")).id


@pytest.mark.parametrize("name", ["", "  ", "a{b", "x" * 201, 7, "\ud800"])
def test_a_name_that_cannot_be_a_key_is_refused(name: Any) -> None:
    """Before it is one."""
    with pytest.raises(ConfigError, match="id="):
        entry("@daily", Task("x"), id=name)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """One round of fixing instead of four."""
    with pytest.raises(ConfigError) as caught:
        entry("61 * * * *", "no task", id="{", max_retries=3)  # type: ignore[arg-type]
    assert {problem.option for problem in caught.value.problems} == {"spec", "task", "id", "max_retries"}


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (Task("x", object()), {}),
        (Task("x", b"x" * 2_000_000), {}),
        (Task("x", task_id="same"), {}),
        (Task("x"), {"task_id": "same"}),
        (Task("x"), {"process_in": 60, "expires_in": 30}),
    ],
)
def test_what_would_be_refused_each_time_is_refused_now(task: Task, options: dict[str, Any]) -> None:
    """At three in the morning is too late."""
    with pytest.raises(ConfigError):
        entry("@daily", task, **options)


def test_a_task_that_came_out_of_redis_can_be_made_periodic() -> None:
    """Whatever its payload was written with."""
    received = [Task.received("q", "id", Envelope("x", raw, "a codec of others")) for raw in (b"1", b"2")]
    one, other = (entry("@daily", task) for task in received)
    assert one.id.startswith("@daily x #")
    assert one.id != other.id


def test_rules_are_checked_and_kept() -> None:
    """Beside the options of the task."""
    made = entry("@every 1h", Task("x"), catch_up="all", max_age=timedelta(days=1), overlap="skip", jitter=5)
    assert made.rules == Rules("all", 86400.0, "skip", 5.0)
    assert made.options == {}
    assert Rules.of({**made.rules.plain(), "of another version": 1}) == made.rules
    assert Rules().plain() == {}
    assert entry("@every 1h", Task("x"), catch_up="latest", max_age=math.inf).rules == Rules("latest")


def test_rules_are_part_of_the_definition_unless_they_are_the_usual_ones() -> None:
    """Ids of entries that say nothing of them stay as they were."""
    plain, said = entry("@daily", Task("x")), entry("@daily", Task("x"), catch_up="skip", overlap="allow")
    assert (plain.id, plain.definition) == (said.id, said.definition)
    assert plain.id == "@daily x"
    others = [
        entry("@daily", Task("x"), catch_up="all"),
        entry("@daily", Task("x"), catch_up="all", max_age=9),
        entry("@daily", Task("x"), overlap="skip"),
        entry("@daily", Task("x"), jitter=1),
    ]
    assert len({one.definition for one in [plain, *others]}) == 5
    assert len({one.id for one in [plain, *others]}) == 5


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"catch_up": "yes"}, "'skip', 'latest' or 'all'"),
        ({"catch_up": None}, "'skip', 'latest' or 'all'"),
        ({"overlap": ["skip"]}, "'allow', 'skip', 'queue_one' or 'cancel_running'"),
        ({"max_age": 60}, "nothing is made up for"),
        ({"max_age": 0, "catch_up": "all"}, "a positive number of seconds"),
        ({"max_age": "1h", "catch_up": "all"}, "a positive number of seconds"),
        ({"jitter": -1}, "zero or a positive number of seconds"),
        ({"jitter": math.inf}, "at most a year"),
        ({"jitter": 3600}, "less than the interval, 3600 s"),
        ({"catchup": "all"}, "did you mean 'catch_up'"),
    ],
)
def test_a_wrong_rule_is_refused(rules: dict[str, Any], message: str) -> None:
    """When it is said, and not at the first bad day."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        entry("@every 1h", Task("x"), **rules)
