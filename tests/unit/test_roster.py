"""What a scheduler runs follows from what it declares and what is stored; without Redis."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq import Task
from asyncq._broker.entries import MODULUS, Change, Stored
from asyncq._entry_form import packed, rhythm, unpacked
from asyncq._scheduling.reconciler import is_agreed
from asyncq._scheduling.roster import Roster
from asyncq._timetable import Timetable
from asyncq.codecs import Codecs
from asyncq.entries import Changes, Entry, PeriodicTask, define
from asyncq.errors import ConfigError, EntryNotFoundError, WireError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CODECS = Codecs()


def _roster() -> tuple[Roster, Timetable]:
    timetable = Timetable()
    log = logging.getLogger("asyncq.scheduler")
    return Roster(timetable, application="shop", codecs=CODECS, clock=lambda: NOW, log=log), timetable


def _entry(name: str = "a", spec: str = "@daily", **options: Any) -> Entry:
    return define(PeriodicTask(spec, Task("report"), id=name, **options), codecs=CODECS)


def _stored(entry: Entry, version: int, *, origin: str = "client", **fields: Any) -> Change:
    stored = Stored(
        entry.id,
        version,
        origin,
        fields.get("application", "shop" if origin == "code" else ""),
        entry.definition,
        packed(entry, CODECS),
        entry.queue,
        1.0,
        1.0,
        fields.get("since", 1.0),
        fields.get("paused_at", 0.0),
        "",
        fields.get("orphaned_at", 0.0),
    )
    return Change(entry.id, version, is_there=True, stored=stored)


def test_what_is_declared_is_run_before_it_is_stored() -> None:
    """Redis may be away when somebody registers."""
    roster, timetable = _roster()
    roster.declare(_entry())
    assert [entry.next_at for entry in timetable.in_order()] == [NOW + timedelta(hours=12)]
    assert [*roster.unsettled] == ["a"]
    roster.take(_stored(_entry(), 7, origin="code"))
    assert [*roster.unsettled] == []
    assert timetable.get("a").version == 7


def test_what_is_stored_wins_over_what_is_declared() -> None:
    """Two releases side by side enqueue the same."""
    roster, timetable = _roster()
    roster.declare(_entry())
    roster.take(_stored(_entry(spec="@hourly"), 7, origin="code"))
    assert timetable.get("a").spec == "@hourly"
    assert [*roster.unsettled] == ["a"]


@pytest.mark.parametrize(("origin", "runs"), [("client", True), ("code", False)])
def test_what_others_declare_is_for_others(origin: str, *, runs: bool) -> None:
    """And what a client has put is for all."""
    roster, timetable = _roster()
    roster.take(_stored(_entry(), 7, origin=origin, application="other"))
    assert ("a" in timetable) is runs
    assert [*roster.strangers] == []
    roster.take(_stored(_entry("b"), 8, origin="code"))
    assert [*roster.strangers] == ["b"]
    assert roster.sum == 15


def test_a_paused_entry_is_in_no_timetable() -> None:
    """And begins anew when it goes on."""
    roster, timetable = _roster()
    roster.declare(_entry())
    roster.take(_stored(_entry(), 7, origin="code", paused_at=2.0))
    assert (len(timetable), [*roster.paused], roster.count) == (0, ["a"], 1)
    assert roster.current("a") is None
    # What is declared anew while it is paused stays paused.
    roster.declare(_entry(spec="@hourly"), replace=True)
    assert (len(timetable), roster.paused["a"].spec) == (0, "@hourly")
    roster.take(_stored(_entry(spec="@hourly"), 8, origin="code", since=3.0))
    assert (len(timetable), [*roster.paused]) == (1, [])


def test_what_was_removed_is_run_no_more_unless_it_is_declared_here() -> None:
    """Then it is stored again."""
    roster, timetable = _roster()
    roster.declare(_entry())
    roster.take(_stored(_entry(), 7, origin="code"))
    roster.take(_stored(_entry("b"), 8))
    for name in "ab":
        roster.take(Change(name, 9, is_there=False, stored=None))
    assert [entry.id for entry in timetable.in_order()] == ["a"]
    assert ([*roster.unsettled], roster.sum) == (["a"], 0)


def test_a_set_is_replaced_by_another_and_what_stays_keeps_its_times() -> None:
    """An interval of a day would never come if each sync began it anew."""
    roster, timetable = _roster()
    roster.declare(_entry("by hand", "@every 1h"))
    first = {one.id: one for one in (_entry("a", "@every 1h"), _entry("b", "@every 1h"), _entry("c"))}
    assert roster.replace([], first) == Changes(added=("a", "b", "c"))
    kept, changed = timetable.get("a"), timetable.get("b")
    kept.last_at = NOW

    second = {
        one.id: one for one in (_entry("a", "@every 1h"), _entry("b", "@every 1h", queue="low"), _entry("d"))
    }
    assert roster.replace(first, second) == Changes(added=("d",), removed=("c",), changed=("b",), kept=("a",))
    assert timetable.get("a") is kept
    assert kept.last_at == NOW
    assert timetable.get("b") is not changed
    assert timetable.get("b").next_at == changed.next_at  # where it goes has changed, and not when
    assert sorted(one.id for one in timetable.in_order()) == ["a", "b", "by hand", "d"]

    assert roster.replace(second, {}) == Changes(removed=("a", "b", "d"))
    assert [one.id for one in timetable.in_order()] == ["by hand"]
    assert not roster.replace([], {})


def test_what_is_dropped_is_run_no_more() -> None:
    """And is a stranger from then on, which somebody wants to be gone."""
    roster, timetable = _roster()
    roster.declare(_entry())
    roster.take(_stored(_entry(), 7, origin="code"))
    roster.drop("a")
    assert (len(timetable), [*roster.strangers], roster.dropped) == (0, ["a"], {"a"})
    roster.declare(_entry())
    assert ([*roster.strangers], roster.dropped) == ([], set())
    with pytest.raises(EntryNotFoundError, match="did you mean 'a'"):
        roster.drop("aa")


def test_what_is_gone_is_forgotten() -> None:
    """A manager may see a million ids come and go."""
    roster, _ = _roster()
    roster.declare(_entry())
    roster.take(_stored(_entry(), 1, origin="code"))
    roster.drop("a")
    assert roster.dropped == {"a"}
    roster.take(Change("a", 2, is_there=False, stored=None))
    assert [*roster.dropped, *roster.known, *roster.declared, *roster.strangers] == []


def test_two_that_declare_the_same_say_the_same() -> None:
    """In whatever order; and one definition that differs is enough to differ."""
    one, other = _roster()[0], _roster()[0]
    for name in "abc":
        one.declare(_entry(name))
    for name in "cba":
        other.declare(_entry(name))
    assert one.declares == other.declares
    other.declare(_entry("a", spec="@hourly"))
    assert one.declares != other.declares
    other.declare(_entry("a"))
    assert one.declares == other.declares
    for name in "abc":
        one.drop(name)
    assert one.declares == _roster()[0].declares


def test_a_second_entry_of_an_id_is_refused() -> None:
    """Unless it is the one that a client has put."""
    roster, _ = _roster()
    roster.take(_stored(_entry(), 7))
    roster.refuse_second(_entry(), is_named=True)
    with pytest.raises(ConfigError, match="replace=True"):
        roster.refuse_second(_entry(spec="@hourly"), is_named=True)
    roster.declare(_entry())
    with pytest.raises(ConfigError, match="second of two equal"):
        roster.refuse_second(_entry(), is_named=False)


def test_schedulers_agree_when_all_of_the_application_declare_the_same() -> None:
    """Others do not matter, nor does what we said ourselves some seconds ago."""
    records = [
        {"id": "me", "application": "shop", "declares": "old"},
        {"id": "one", "application": "shop", "declares": "d"},
        {"id": "two", "application": "other", "declares": "e"},
    ]
    assert is_agreed(records, "me", "shop", "d")
    assert not is_agreed(
        [*records, {"id": "three", "application": "shop", "declares": "e"}], "me", "shop", "d"
    )
    assert not is_agreed([{"id": "before this was invented"}], "me", "", "d")


_versions = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from(["client", "code", "paused", "gone", "declare", "drop"])
    ),
    max_size=30,
)


@given(steps=_versions)
def test_whatever_happens_the_sum_and_the_timetable_are_those_of_the_store(
    steps: list[tuple[str, str]],
) -> None:
    """The sum is how a scheduler knows that it has missed nothing."""
    roster, timetable = _roster()
    stored: dict[str, tuple[int, str]] = {}
    for version, (name, step) in enumerate(steps, 2**49):
        if step == "declare":
            roster.declare(_entry(name))
        elif step == "drop":
            if name in roster.declared:
                roster.drop(name)
        elif step == "gone":
            stored.pop(name, None)
            roster.take(Change(name, version, is_there=False, stored=None))
        else:
            stored[name] = version, step
            origin = "code" if step == "code" else "client"
            roster.take(_stored(_entry(name), version, origin=origin, paused_at=float(step == "paused")))
    assert roster.sum == sum(version for version, _ in stored.values()) % MODULUS
    for name in "abcd":
        step = stored[name][1] if name in stored else ""
        # What is gone and declared here is stored again, and until then as it was.
        if name in roster.declared and step:
            assert (name in roster.paused) == (step == "paused")
            assert (name in timetable) == (step != "paused")
        assert name not in timetable or name not in roster.paused


# --- how entries are written down --------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        PeriodicTask("@daily", Task("plain")),
        PeriodicTask("*/5 9-17 * * mon-fri", Task("bytes", b"\xff\x00"), timezone="Europe/Paris"),
        PeriodicTask("CRON_TZ=Asia/Tokyo 0 6 L * *", Task("map", {"a": [1, 2.5, None]}), queue="low"),
        PeriodicTask(timedelta(minutes=90), Task("t", "x", headers={"k": "v"}), unique=60, max_retry=3),
        PeriodicTask("@every 1h30m", Task("t"), catch_up="all", max_age=60, overlap="skip", jitter=5),
    ],
    ids=lambda wanted: str(wanted.spec),
)
def test_what_is_written_down_comes_back(wanted: PeriodicTask) -> None:
    """Whoever reads it enqueues the same at the same times."""
    entry = define(wanted, codecs=CODECS)
    back = unpacked(entry.id, packed(entry, CODECS), digest=entry.definition, codecs=CODECS)
    assert (back.spec, back.checked, back.rules) == (entry.spec, entry.checked, entry.rules)
    assert rhythm(back.schedule) == rhythm(entry.schedule)
    assert back.task.payload == entry.task.payload
    assert back.task.encoded(CODECS) == entry.task.encoded(CODECS)
    assert back.schedule.next(NOW) == entry.schedule.next(NOW)
    assert packed(back, CODECS) == packed(entry, CODECS)


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x80", b"text", b"\x01"])
def test_what_is_no_definition_is_refused(raw: bytes) -> None:
    """With the id, so that somebody can look."""
    with pytest.raises(WireError, match="'a'"):
        unpacked("a", raw, digest="", codecs=CODECS)
