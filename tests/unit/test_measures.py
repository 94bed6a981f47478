"""Numbers in memory: how times are sorted, what is bounded, and what is new since the last time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._broker.deliver import Delivery
from asyncq._broker.measures import ALL, Update, add
from asyncq._engine.historian import MOST_WAITING, Lane, News
from asyncq._engine.measures import LONGEST_TYPE, Recorder, Series, Times
from asyncq._wire.messages import Envelope
from asyncq.errors import ConfigError
from asyncq.inspector.measures import Asked, of_type, point
from asyncq.measures import BOUNDS, OTHER, OUTCOMES, Spread

_SECONDS = st.floats(0.0, 10 * BOUNDS[-1])


def _spread(*seconds: float) -> Spread:
    times = Times()
    for one in seconds:
        times.add(one)
    return times.spread()


# -- spreads ----------------------------------------------------------------------------------------------


@given(st.lists(_SECONDS, min_size=1), st.floats(1.0, 100.0))
def test_a_percentile_is_in_the_class_of_the_true_one(seconds: list[float], percent: float) -> None:
    """Right to a tenth or so, whatever the times are like."""
    spread = _spread(*seconds)
    rank = max(1, math.ceil(len(seconds) * percent / 100 - 1e-9))
    true, said = sorted(seconds)[rank - 1], spread.percentile(percent)
    upper = next((bound for bound in BOUNDS if bound >= true), BOUNDS[-1])
    lower = max((bound for bound in BOUNDS if bound < true), default=0.0)
    assert min(lower, BOUNDS[-1]) <= said <= upper + 1e-12
    assert spread.count == len(seconds)
    assert spread.seconds == pytest.approx(sum(seconds))


@given(st.lists(_SECONDS), st.lists(_SECONDS))
def test_spreads_add_up(one: list[float], other: list[float]) -> None:
    """Those of several servers, or of several minutes."""
    both = _spread(*one) + _spread(*other)
    assert both.counts == _spread(*one, *other).counts
    assert both.seconds == pytest.approx(sum(one) + sum(other))
    assert (Spread() + _spread(*one)).counts == _spread(*one).counts


def test_bounds_are_those_that_people_know() -> None:
    """Ten a decade, and among them what Prometheus has."""
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0} <= set(BOUNDS)
    assert all(after / before < 1.3 for before, after in pairwise(BOUNDS))
    assert _spread(0.1, 0.1001).up_to(0.1) == 1


def test_of_nothing_there_is_no_percentile() -> None:
    """Nor a mean: a zero would look like a very fast server."""
    assert math.isnan(Spread().percentile(50))
    assert math.isnan(_spread().mean)
    assert _spread(0.0).percentile(50) <= BOUNDS[0]
    assert _spread(1e9).percentile(50) == BOUNDS[-1]


# -- recorder ---------------------------------------------------------------------------------------------


def _delivery(**given: Any) -> Delivery:
    return Delivery("q", "a", "s:1", 0, 0, 0, 1000.0, **given)


@pytest.mark.parametrize(
    ("given", "enqueued_at", "waited", "late"),
    [
        ({}, 990.0, 10.0, None),
        ({}, 1005.0, 0.0, None),
        ({}, 0.0, None, None),
        ({"ready_at": 997.0, "is_delayed": True}, 900.0, 3.0, 3.0),
        ({"ready_at": 997.0}, 900.0, 3.0, None),
        ({"is_repeated": True, "deliveries": 1}, 900.0, None, None),
    ],
    ids=["at once", "of a fast clock", "of Go", "delayed", "of Go, delayed or not", "lost"],
)
def test_waiting_counts_from_when_it_could_be_taken(
    given: dict[str, Any], enqueued_at: float, waited: float | None, late: float | None
) -> None:
    """Once, whoever has it afterwards."""
    delivery = _delivery()
    for name, value in given.items():
        setattr(delivery, name, value)
    series = Series("q", "mail")
    series.arrived(delivery, Envelope("mail", b"", enqueued_at=enqueued_at))
    assert (series.waited.spread().count, series.waited.seconds) == (waited is not None, waited or 0.0)
    assert (series.late.spread().count, series.late.seconds) == (late is not None, late or 0.0)
    assert series.redelivered == (waited is None and late is None and delivery.is_repeated)


def test_there_is_an_end_to_types() -> None:
    """Whoever enqueues says what types there are."""
    recorder = Recorder(["q", "r"], most=3)
    for number in range(10):
        recorder.of("q", f"t{number}").done.count += 1
        recorder.of("r", f"t{number}").done.count += 1
    found = {(one.queue, one.type): one.done.count for one in recorder.series()}
    assert found == {("q", "t0"): 1, ("r", "t0"): 1, ("q", "t1"): 1, ("q", OTHER): 8, ("r", OTHER): 9}


@pytest.mark.parametrize("hostile", ["x" * 10_000, "\ud800", OTHER, 'a"b\\c\n{}', "ü" * 500])
def test_odd_types_have_a_label_that_is_text(hostile: str) -> None:
    """Not longer than some, and no two series have the same one."""
    recorder = Recorder(["q"], most=10)
    for more in ("", "y", "z"):
        recorder.of("q", hostile + more).done.count += 1
    labels = [one.type for one in recorder.series()]
    assert len(labels) == len(set(labels))
    assert all(len(label.encode()) <= 4 * LONGEST_TYPE for label in labels)
    assert sum(one.done.count for one in recorder.series()) == 3


# -- what is new ------------------------------------------------------------------------------------------


def test_only_what_is_new_is_sent() -> None:
    """Of each queue, and of all together."""
    recorder = Recorder(["q", "r"], most=10)
    news = News(recorder)
    assert news.take() == {}
    recorder.of("q", "mail").done.count += 2
    recorder.of("r", "mail").done.count += 1
    recorder.of("r", "mail").ran.add(0.5)
    recorder.queues["r"].lost += 1
    first = news.take()
    assert first["q"] == {"mail": {"d": 2}}
    assert first["r"]["mail"]["T"] == 500_000
    assert first[ALL]["mail"]["d"] == 3
    assert first[ALL][""] == {"o": 1}
    assert news.take() == {}
    recorder.of("q", "mail").done.count += 5
    assert news.take() == {"q": {"mail": {"d": 5}}, ALL: {"mail": {"d": 5}}}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(OUTCOMES), st.booleans())))
def test_what_was_sent_adds_up_to_what_was_counted(events: list[tuple[str, str, bool]]) -> None:
    """However often one looks."""
    recorder, whole = Recorder(["q"], most=2), dict[str, Update]()
    news = News(recorder)
    for kind, outcome, look in events:
        getattr(recorder.of("q", kind), outcome).count += 1
        if look:
            for place, update in news.take().items():
                add(whole.setdefault(place, {}), update)
    for place, update in news.take().items():
        add(whole.setdefault(place, {}), update)
    counted = {one.type: sum(tally.count for tally in one.tallies.values()) for one in recorder.series()}
    sent = {kind: sum(numbers.values()) for kind, numbers in whole.get("q", {}).items()}
    assert sent == {kind: count for kind, count in counted.items() if count}
    assert whole.get("q") == whole.get(ALL)


def test_what_was_sent_is_not_changed_any_more() -> None:
    """It may have been carried out: what comes later has a number of its own."""
    lane = Lane(["q"])
    lane.put({"q": {"mail": {"d": 1}}, "r": {"mail": {"d": 9}}}, 60.0)
    lane.put({"q": {"mail": {"d": 2}}}, 61.0)
    (first,) = lane.waiting
    assert (first.number, first.updates) == (1, {"q": {"mail": {"d": 3}}})
    first.was_sent = True
    lane.put({"q": {"mail": {"d": 4}}}, 62.0)
    lane.put({"q": {"mail": {"d": 1}}}, 121.0)
    assert [(one.number, one.at, one.updates["q"]["mail"]["d"]) for one in lane.waiting] == [
        (1, 60.0, 3),
        (2, 62.0, 4),
        (3, 121.0, 1),
    ]


def test_a_long_outage_does_not_fill_the_memory() -> None:
    """Minutes are put together then; nothing is left out."""
    lane = Lane(["q"])
    for minute in range(5 * MOST_WAITING):
        lane.put({"q": {"mail": {"d": 1}}}, minute * 60.0)
    assert len(lane.waiting) == MOST_WAITING
    assert sum(one.updates["q"]["mail"]["d"] for one in lane.waiting) == 5 * MOST_WAITING


# -- windows ----------------------------------------------------------------------------------------------

NOW = 1_700_000_030.0  # half a minute past
_DAY = 86400.0


@pytest.mark.parametrize(
    ("since", "until", "step", "length", "points"),
    [
        (3600.0, None, None, 60, 60),
        (timedelta(minutes=1), None, None, 60, 1),
        (3 * 3600.0, None, None, 60, 180),
        (3 * 3600.0, None, 300, 60, 36),
        (3 * 3600.0 + 1, None, None, 3600, 4),
        (7 * _DAY, None, None, 3600, 168),
        (7 * _DAY, None, timedelta(days=1), 3600, 7),
        (600.0, datetime.fromtimestamp(NOW - 600, UTC), None, 60, 10),
        (datetime.fromtimestamp(NOW - 600, UTC), None, None, 60, 10),
        (600.0, datetime.fromtimestamp(NOW + 600, UTC), None, 60, 10),
        (1800.0, None, 3600, 3600, 1),
    ],
)
def test_windows(since: Any, until: Any, step: Any, length: int, points: int) -> None:
    """Whole steps, the last of which is not over, and never more than what is kept."""
    window = Asked.of(since, until, step).window(NOW)
    steps = list(window.steps())
    assert (window.length, len(steps)) == (length, points)
    assert int(NOW // length) - window.first < {60: 180, 3600: 168}[length]
    assert all(0 <= seconds <= window.per_step * length for _, _, seconds in steps)
    assert [first for first, _, _ in steps] == list(range(window.first, window.last + 1, window.per_step))
    if until is None:
        assert steps[-1][0] * length <= NOW < (steps[-1][1] + 1) * length


@pytest.mark.parametrize(
    ("since", "until", "step", "wrong"),
    [
        (0, None, None, "since"),
        (-1, None, None, "since"),
        (8 * _DAY, None, None, "since"),
        (datetime.fromtimestamp(NOW - 8 * _DAY, UTC), None, None, "since"),
        (datetime.fromtimestamp(NOW + 5, UTC), None, None, "since"),
        (datetime(2026, 1, 1), None, None, "since"),  # noqa: DTZ001 - that is what is wrong with it
        (datetime.fromtimestamp(NOW, UTC), datetime.fromtimestamp(NOW - 5, UTC), None, "since"),
        (3600, None, 90, "step"),
        (3600, None, 0, "step"),
        (_DAY, None, 60, "step"),
        (600, datetime.fromtimestamp(NOW - 4 * 3600, UTC), 60, "step"),
        ("an hour", None, None, "since"),
        (3600, "now", None, "until"),
    ],
)
def test_windows_that_cannot_be(since: Any, until: Any, step: Any, wrong: str) -> None:
    """Each with the option that is wrong."""
    with pytest.raises(ConfigError, match=rf"^{wrong}"):
        Asked.of(since, until, step).window(NOW)


def test_the_present_minute_shows_the_last_look_until_there_is_another() -> None:
    """Else each chart would end in a fall to nothing."""
    before = point(0.0, 60.0, {"n": 2, "P": 8, "A": 4, "^O": 1500}, [])
    assert (before.pending, before.active, before.oldest) == (8.0, 4.0, 1.5)
    assert point(60.0, 4.0, {"d": 3}, [before]).pending == 8.0
    assert point(60.0, 4.0, {"n": 2}, [before]).pending == 0.0
    assert point(60.0, 40.0, {}, [before]).pending == 0.0
    assert point(0.0, 3600.0, {"n": 60, "P": 120}, []).pending == 2.0


def test_one_type_of_all() -> None:
    """With what is of no type."""
    update = {"": {"P": 3}, "mail": {"d": 1}, "report": {"d": 5, "r": 1}}
    assert of_type(update, None) == {"": {"P": 3, "d": 6, "r": 1}}
    assert of_type(update, "mail") == {"": {"P": 3, "d": 1}}
    assert of_type(update, "nobody knows") == {"": {"P": 3}}
