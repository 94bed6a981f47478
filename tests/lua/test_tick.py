"""`enqueue` of one time of an entry: of several schedulers that send it, one enqueues it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.lua.space import CHANNEL, KEYS, NEWS, Space, about, packed, snapshot_hash

TICK = KEYS.queue("q").tick("nightly")
FENCE = KEYS.queue("q").fence("nightly")
NOMINAL, GAP, KEEP = 1_764_000_000.123456, 3600.0, 60
AT = "1764000000.123456"


@dataclass(frozen=True)
class Asks:
    """What a scheduler asks for."""

    gap: float = 0.0
    since: float = 0.0
    strict: str = ""
    version: int = 0
    overlap: str = ""
    release: str = ""
    begun: float = 0.0
    lock: float = 0.0


def _send(space: Space, sender: str, nominal: float, asks: Asks = Asks(), *, number: int = 1) -> str:
    """Send the task of one time, as one scheduler does; return the word about it."""
    q, name, lock = space.q, f"{sender}-{nominal}", asks.lock
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt(sender), q.task(name)]
    keys += [q.unique("k")] if lock else []
    rules = (asks.gap, KEEP, asks.since, asks.strict, asks.overlap, asks.release)
    where = (0, 0, lock, "k" if lock else "", "")
    detail = packed(asks.version, asks.begun, packed(*where, f"{nominal:.6f}", *rules))
    args = [number, 60, CHANNEL, NEWS, "", q.task_prefix, 1, "message", detail]
    word: Any = space.run("enqueue", [*keys, TICK, FENCE], *args)[0]
    return str(word)


def _pending(space: Space) -> int:
    found: Any = space.client.llen(space.q.pending)
    return int(found)


def _tick(space: Space) -> dict[str, str]:
    """What is remembered, but for how long."""
    found = snapshot_hash(space.client, TICK)
    found.pop("kept", None)
    return found


def test_the_first_one_enqueues_and_the_others_do_not(space: Space) -> None:
    """In the same step, so nobody can be between the claim and the task."""
    assert [_send(space, sender, NOMINAL) for sender in "abc"] == ["pending", "taken", "taken"]
    assert _pending(space) == 1
    assert _tick(space) == {"at": AT}
    assert KEEP <= _ttl(space) <= KEEP * 1.5
    assert space.client.hget(space.q.flow, "created") == b"1"


def test_a_task_that_has_run_and_is_gone_is_not_enqueued_again(space: Space) -> None:
    """A scheduler may be late by more than the task takes."""
    _send(space, "a", NOMINAL)
    space.client.delete(space.q.pending, space.q.task(f"a-{NOMINAL}"))
    assert _send(space, "b", NOMINAL) == "taken"
    assert _pending(space) == 0


def test_an_earlier_time_is_over(space: Space) -> None:
    """A scheduler that was frozen comes back with it."""
    _send(space, "a", NOMINAL)
    assert _send(space, "b", NOMINAL - 60) == "taken"
    assert _send(space, "b", NOMINAL + 60, number=2) == "pending"


@pytest.mark.parametrize(("after", "word"), [(1, "taken"), (GAP - 1, "taken"), (GAP, "pending")])
def test_an_interval_is_kept_whenever_a_scheduler_began(space: Space, after: float, word: str) -> None:
    """Two that began at different moments would enqueue twice as often."""
    _send(space, "a", NOMINAL, Asks(GAP))
    assert _send(space, "b", NOMINAL + after, Asks(GAP)) == word


def test_a_time_that_was_refused_is_over_for_all(space: Space) -> None:
    """One refusal in the history, and not one of each scheduler."""
    space.pending("other")
    space.client.hset(space.q.task("other"), "unique", "k")
    space.client.set(space.q.unique("k"), "other")
    assert [_send(space, sender, NOMINAL, Asks(lock=9)) for sender in "ab"] == ["duplicate", "taken"]


def test_a_clock_that_is_far_ahead_claims_nothing(space: Space) -> None:
    """It would keep the others from all times until then."""
    before = space.everything()
    assert _send(space, "a", space.now() + 3600) == "early"
    assert space.everything(without=("receipt",)) == before
    assert _send(space, "a", space.now() + 30, number=2) == "pending"


def test_a_key_that_holds_something_else_spoils_this_entry_only(space: Space) -> None:
    """Somebody wrote there by hand."""
    space.client.rpush(TICK, "a list")
    assert _send(space, "a", NOMINAL) == "unusable"
    assert _pending(space) == 0


# --- what was missed ------------------------------------------------------------------------------


def test_times_that_nobody_had_are_noted_in_the_same_step(space: Space) -> None:
    """Else who is killed behind it would take the reason with him."""
    _send(space, "a", NOMINAL)
    assert _send(space, "b", NOMINAL + 180, Asks(since=NOMINAL + 120)) == "pending+"
    note = _tick(space).pop("note:1764000120.123456").split(" ")
    assert note[:3] == ["missed", AT, "1764000120.123456"]
    assert float(note[3]) == about(space.now())


@pytest.mark.parametrize("strict", ["", "1"])
def test_nothing_was_missed_when_the_time_before_was_had(space: Space, strict: str) -> None:
    """Also when somebody has had one since, of an entry that was due otherwise."""
    _send(space, "a", NOMINAL)
    assert _send(space, "a", NOMINAL + 60, Asks(since=NOMINAL, strict=strict), number=2) == "pending"
    assert _send(space, "a", NOMINAL + 90, Asks(since=NOMINAL, strict=strict), number=3) == "pending"
    assert _tick(space) == {"at": "1764000090.123456"}


def test_no_time_overtakes_an_older_one_that_is_to_be_made_up_for(space: Space) -> None:
    """Refused until the older ones were had: then they are had in order, whoever does it."""
    _send(space, "a", NOMINAL)
    strict = [Asks(since=NOMINAL + 60 * n, strict="1") for n in range(3)]
    before = space.everything(without=("receipt",))
    assert _send(space, "b", NOMINAL + 180, strict[2]) == "behind"
    assert space.everything(without=("receipt",)) == before
    words = [_send(space, "c", NOMINAL + 60 * n, strict[n - 1], number=n) for n in (1, 2, 3)]
    assert words == ["pending"] * 3
    assert _send(space, "b", NOMINAL + 180, strict[2], number=2) == "taken"
    assert _pending(space) == 4


def test_an_entry_that_was_never_had_misses_nothing(space: Space) -> None:
    """If there is no beginning from which to count."""
    assert _send(space, "a", NOMINAL, Asks(since=NOMINAL - 60, strict="1")) == "pending"
    assert _tick(space) == {"at": AT}


@pytest.mark.parametrize(("began", "word"), [(-90.0, "behind"), (-60.0, "pending")])
def test_the_first_time_of_an_entry_can_be_missed_too(space: Space, began: float, word: str) -> None:
    """By a scheduler that was killed just then."""
    asks = Asks(since=NOMINAL - 60, strict="1", begun=NOMINAL + began)
    assert _send(space, "a", NOMINAL, asks) == word


def test_the_first_times_of_an_entry_are_noted_when_they_were_missed(space: Space) -> None:
    """From the beginning of the entry on."""
    _send(space, "a", NOMINAL, Asks(since=NOMINAL - 60, begun=NOMINAL - 90))
    (note,) = [value for name, value in _tick(space).items() if name.startswith("note:")]
    assert note.startswith(f"missed {NOMINAL - 90:.6f} {NOMINAL - 60:.6f} ")


def test_notes_that_nobody_takes_away_have_an_end(space: Space) -> None:
    """A history on another node may be away for long."""
    for number in range(150):
        _send(space, "a", NOMINAL + 10 * number, Asks(since=NOMINAL + 10 * number - 5), number=number + 1)
    tick = _tick(space)
    assert len(tick) == 100
    # What came since is told as a whole.
    assert tick["note:rest"].split(" ")[0] == "several"
    assert tick["note:rest"].split(" ")[2] == f"{NOMINAL + 1485:.6f}"


def test_the_note_of_many_only_grows(space: Space) -> None:
    """One that waited for a run is left out after later ones."""
    _run(space, "active", "queue_one")
    asks = Asks(overlap="queue_one")
    for number in range(1, 120):
        _send(space, "b", NOMINAL + number, asks, number=number)
    space.client.delete(space.q.task(f"a-{NOMINAL}"))
    before = _tick(space)["note:rest"].split(" ")
    assert _send(space, "b", NOMINAL + 120, asks, number=120) == "pending+"
    after = _tick(space)["note:rest"].split(" ")
    assert after[2] == before[2] == f"{NOMINAL + 119:.6f}"
    assert float(after[1]) < NOMINAL + 1


def test_what_came_to_a_note_while_it_was_written_down_is_not_lost(space: Space) -> None:
    """A scheduler has read it and writes it into the history; another one leaves a time out meanwhile."""
    read = {"note:rest": "several 1.000000 8.000000 8.5", "note:3.000000": "missed 2 3 3", "cancel:x": ""}
    space.client.hset(TICK, mapping={"at": AT, **read, "note:rest": "several 1.000000 9.000000 9.5"})
    space.client.hset(TICK, "cancel:x", "elsewhere")
    pairs = [part for pair in read.items() for part in pair]
    for again in (False, True):
        assert space.run("attended", [TICK], *pairs, again=again) == "ok"
        rest = {"note:rest": "several 8.000000 9.000000 9.5", "cancel:x": "elsewhere"}
        assert _tick(space) == {"at": AT, **rest}
    assert space.run("attended", [TICK], *[part for pair in rest.items() for part in pair]) == "ok"
    assert _tick(space) == {"at": AT}


# --- runs that overlap ------------------------------------------------------------------------------


GOING = ["pending", "scheduled", "active", "retry", "aggregating"]


def _run(space: Space, state: str | None, overlap: str) -> None:
    """Arrange a last run that is in this state, or gone."""
    _send(space, "a", NOMINAL, Asks(overlap=overlap))
    run = f"a-{NOMINAL}"
    assert _tick(space) == {"at": AT, "run": run}
    space.client.delete(space.q.pending, space.q.task(run))
    if state is not None:
        space.put(run, state)


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "cancel_running"])
@pytest.mark.parametrize("state", ["archived", "completed", None])
def test_a_run_that_is_over_is_in_nobodys_way(space: Space, state: str | None, overlap: str) -> None:
    """However it ended. A dead run that blocks all later ones is what users suffer from elsewhere."""
    _run(space, state, overlap)
    assert _send(space, "b", NOMINAL + 60, Asks(since=NOMINAL, overlap=overlap)) == "pending"
    assert _tick(space) == {"at": "1764000060.123456", "run": f"b-{NOMINAL + 60}"}


@pytest.mark.parametrize("state", GOING)
def test_a_time_is_left_out_while_a_run_goes_on(space: Space, state: str) -> None:
    """Decided by what Redis says of the task at that moment, and noted."""
    _run(space, state, "skip")
    assert _send(space, "b", NOMINAL + 60, Asks(since=NOMINAL, overlap="skip")) == "overlap+"
    assert _send(space, "c", NOMINAL + 60, Asks(since=NOMINAL, overlap="skip")) == "taken"
    tick = _tick(space)
    note = tick.pop("note:1764000060.123456").split(" ")
    assert [*note[:3], *note[4:]] == ["overlap", "1764000060.123456", "1764000060.123456", f"a-{NOMINAL}"]
    assert tick == {"at": "1764000060.123456", "run": f"a-{NOMINAL}"}
    assert _pending(space) == 0


@pytest.mark.parametrize("state", GOING)
def test_one_time_waits_for_the_end_of_a_run(space: Space, state: str) -> None:
    """And no more than one: the next is left out. It is enqueued once, by whoever sees the end."""
    _run(space, state, "queue_one")
    asks = Asks(overlap="queue_one")
    assert _send(space, "b", NOMINAL + 60, asks) == "queued+"
    assert _send(space, "b", NOMINAL + 120, asks, number=2) == "overlap+"
    assert _tick(space)["queued"] == "1764000060.123456"
    release = Asks(overlap="queue_one", release="1")
    assert _send(space, "b", NOMINAL + 60, release, number=3) == "queued"
    assert _pending(space) == 0
    space.put(f"a-{NOMINAL}", "completed")
    assert [_send(space, who, NOMINAL + 60, release, number=4) for who in "bc"] == ["pending", "taken"]
    assert _pending(space) == 1
    tick = _tick(space)
    assert "queued" not in tick
    assert (tick["at"], tick["run"]) == ("1764000120.123456", f"b-{NOMINAL + 60}")


def test_what_waits_behind_a_run_that_is_over_blocks_nothing(space: Space) -> None:
    """All schedulers were killed before its turn came: the next time takes its place."""
    _run(space, "active", "queue_one")
    asks = Asks(overlap="queue_one")
    _send(space, "b", NOMINAL + 60, asks)
    space.client.delete(space.q.task(f"a-{NOMINAL}"))
    assert _send(space, "c", NOMINAL + 120, asks) == "pending+"
    assert _send(space, "b", NOMINAL + 60, Asks(overlap="queue_one", release="1"), number=2) == "taken"
    tick = _tick(space)
    assert tick.pop("note:1764000060.123456").startswith("overlap ")
    assert tick == {"at": "1764000120.123456", "run": f"c-{NOMINAL + 120}"}


@pytest.mark.parametrize("state", GOING)
def test_a_run_that_goes_on_is_to_be_cancelled(space: Space, state: str) -> None:
    """Who asks for it may die: what is to be cancelled stays until it was."""
    _run(space, state, "cancel_running")
    assert _send(space, "b", NOMINAL + 60, Asks(overlap="cancel_running")) == "pending+"
    run = f"b-{NOMINAL + 60}"
    assert _tick(space) == {"at": "1764000060.123456", "run": run, f"cancel:a-{NOMINAL}": ""}


def test_what_is_refused_cancels_nothing(space: Space) -> None:
    """Nothing comes in its place."""
    _run(space, "active", "cancel_running")
    space.pending("other")
    space.client.hset(space.q.task("other"), "unique", "k")
    space.client.set(space.q.unique("k"), "other")
    assert _send(space, "b", NOMINAL + 60, Asks(overlap="cancel_running", lock=9)) == "duplicate"
    assert _tick(space) == {"at": "1764000060.123456", "run": f"a-{NOMINAL}"}


# --- entries that have changed ------------------------------------------------------------------------


@pytest.mark.parametrize(("fence", "word"), [("7", "pending"), ("8", "fenced"), ("junk", "pending")])
def test_an_entry_that_was_changed_is_not_enqueued_as_it_was(space: Space, fence: str, word: str) -> None:
    """By a scheduler that has not heard of it."""
    space.client.set(FENCE, fence)
    assert _send(space, "a", NOMINAL, Asks(version=7)) == word
    assert _pending(space) == (word == "pending")
    assert bool(_tick(space)) == (word == "pending")


@pytest.mark.parametrize("same", ["written out", "="])
def test_each_of_several_times_has_its_own_fence(space: Space, same: str) -> None:
    """They are asked for together, and not every task of a call has one. Many ask for the same."""
    q, ids = space.q, ["a", "b", "plain", "c", "d"]
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt("s")]
    args: list[object] = [1, 60, CHANNEL, NEWS, "", q.task_prefix, 4]
    rules = packed(0, 0, 0, "", "", AT, 0.0, KEEP, 0.0, "", "", "")
    for name in ids:
        is_plain = name == "plain"
        keys += [q.task(name)] if is_plain else [q.task(name), q.tick(name)]
        detail = "" if is_plain else packed(7, 0.0, rules)
        args += ["message", "=" if same == "=" and name in "bd" else detail]
    space.client.set(q.fence("b"), "8")
    space.client.rpush(q.fence("c"), "not ours")
    keys += [q.fence(name) for name in ids if name != "plain"]
    words: Any = space.run("enqueue", keys, *args)[0]
    assert words == "pending,fenced,pending,pending,pending"


@pytest.mark.parametrize(
    ("kept", "word"), [(KEEP + 5, "left"), (KEEP - 5, "prolonged"), (None, "prolonged"), ("odd", "prolonged")]
)
def test_what_is_remembered_for_long_enough_is_left_alone(
    space: Space, kept: float | str | None, word: str
) -> None:
    """A thousand entries may be due at once."""
    space.client.hset(TICK, "at", AT)
    if kept is not None:
        space.client.hset(TICK, "kept", kept if isinstance(kept, str) else f"{space.now() + kept:.0f}")
    space.client.expire(TICK, KEEP + 5)
    assert _send(space, "a", NOMINAL + 60) == "pending"
    assert (_ttl(space) > KEEP + 10) == (word == "prolonged")
    assert float(snapshot_hash(space.client, TICK)["kept"]) == pytest.approx(space.now() + _ttl(space), abs=2)


# --- passing over -----------------------------------------------------------------------------------


def _pass_over(space: Space, after: str, last: float, *, again: bool = False) -> str:
    return str(space.run("pass_over", [TICK], after, f"{last:.6f}", "too_old", KEEP, again=again))


def test_times_are_passed_over_by_one_of_all(space: Space) -> None:
    """Half a million of them with one note."""
    _send(space, "a", NOMINAL)
    assert _pass_over(space, AT, NOMINAL + 6000) == "done"
    assert _pass_over(space, AT, NOMINAL + 6000, again=True) == "done"
    assert _pass_over(space, AT, NOMINAL + 6060) == "moved"
    tick = _tick(space)
    note = tick.pop("note:1764006000.123456").split(" ")
    assert note[:3] == ["too_old", AT, "1764006000.123456"]
    assert tick == {"at": "1764006000.123456"}
    assert _send(space, "b", NOMINAL + 6000) == "taken"
    assert KEEP <= _ttl(space) <= KEEP * 1.5


def _ttl(space: Space) -> int:
    found: Any = space.client.ttl(TICK)
    return int(found)


def test_what_was_never_had_is_passed_over_from_the_beginning(space: Space) -> None:
    """Of an entry that was stored while no scheduler was there."""
    assert _pass_over(space, AT, NOMINAL) == "moved"
    assert _pass_over(space, "", NOMINAL) == "done"
    assert _tick(space)[f"note:{AT}"].startswith(f"too_old 0.000000 {AT} ")


@pytest.mark.parametrize(("reason", "ahead"), [("missed", 0.0), ("failed", 60.0)])
def test_what_has_not_come_cannot_be_passed_over(space: Space, reason: str, ahead: float) -> None:
    """One scheduler whose clock is wrong would take all times until then from the others."""
    now = space.now() + ahead

    def pass_over(last: float) -> str:
        return str(space.run("pass_over", [TICK], "", f"{last:.6f}", reason, KEEP))

    assert pass_over(now + 10) == "early"
    assert _tick(space) == {}
    assert pass_over(now - 10) == "done"


def test_what_is_known_of_entries_is_recalled(space: Space) -> None:
    """Also beside one whose key holds something else."""
    _send(space, "a", NOMINAL, Asks(overlap="skip"))
    other, odd = space.q.tick("unknown"), space.q.tick("odd")
    space.client.set(odd, "text")
    kept = space.client.hget(TICK, "kept")
    assert isinstance(kept, bytes)
    fields = ["at", AT, "kept", kept.decode(), "run", f"a-{NOMINAL}"]
    assert space.run("recall", [TICK, other, odd]) == [fields, [], []]
