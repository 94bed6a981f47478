"""The options of a task: checked together, reported together, merged."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.errors import ConfigError
from asyncq.options import CheckedOptions, TaskOptions, check_options, merge_options, public_options

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_all_options_are_checked_and_converted() -> None:
    """Inside, durations and instants are floats."""
    options = TaskOptions(
        queue="critical",
        max_retry=3,
        timeout=timedelta(minutes=1),
        deadline=NOON,
        process_in=0.25,
        unique=60,
        task_id="order-7",
        retention=timedelta(days=1),
        group="g",
        headers={"trace": "1"},
        expires_in=5,
        retry="slow",
    )
    assert check_options(dict(options)) == {
        "queue": "critical",
        "max_retry": 3,
        "timeout": 60.0,
        "deadline": NOON.timestamp(),
        "delay": 0.25,
        "unique": 60.0,
        "task_id": "order-7",
        "retention": 86400.0,
        "group": "g",
        "headers": {"trace": "1"},
        "expires_in": 5.0,
        "retry": "slow",
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("queue", bad) for bad in ("", "  ", "a{b", "a}b", 7, None, b"low", "\ud800")],
        *[("max_retry", bad) for bad in (-1, 1.0, True, "3", 2**31)],
        *[("timeout", bad) for bad in (-1, math.nan, "5", True, 1e12)],
        *[
            (name, bad)
            for name in ("deadline", "process_at", "expires_at")
            for bad in (5, "now", NOON.replace(tzinfo=None))
        ],
        *[
            (name, bad)
            for name in ("process_in", "retention", "expires_in")
            for bad in (-1, math.nan, math.inf, "5")
        ],
        *[("unique", bad) for bad in (0, -1, 0.0001, math.inf, timedelta(0))],
        *[(name, bad) for name in ("task_id", "group", "retry") for bad in ("", " \t", 7, "\ud800")],
        *[("headers", bad) for bad in ({"a": 1}, {1: "a"}, {"": "a"}, "ab", [("a", "b")], {"a": "\ud800"})],
    ],
)
def test_a_wrong_value_is_refused_by_name(option: str, value: object) -> None:
    """Before any I/O, and with the name of the option."""
    with pytest.raises(ConfigError) as caught:
        check_options({option: value})
    assert [(p.option, p.value) for p in caught.value.problems] == [(option, value)]


def test_all_problems_are_reported_at_once() -> None:
    """Also that two options contradict each other."""
    with pytest.raises(ConfigError) as caught:
        check_options({"queue": "", "max_retry": -1, "process_at": NOON, "process_in": 5, "tiemout": 3})
    assert [p.option for p in caught.value.problems] == ["queue", "max_retry", "tiemout", "process_in"]
    assert "did you mean 'timeout'?" in str(caught.value)


def test_an_option_like_no_other_is_answered_with_the_list() -> None:
    """There is nothing near to suggest."""
    with pytest.raises(ConfigError, match="one of deadline, expires_at"):
        check_options({"zzz": 1})


@pytest.mark.parametrize(
    "options", [{"process_at": NOON, "process_in": 5}, {"expires_at": NOON, "expires_in": 5}]
)
def test_an_instant_and_a_wait_for_the_same_thing_contradict_each_other(options: dict[str, object]) -> None:
    """Nobody can say which was meant."""
    with pytest.raises(ConfigError, match="not both"):
        check_options(options)


def test_no_limit_can_be_said_in_two_ways() -> None:
    """0 is asynq's word, and for ever is `math.inf`."""
    assert check_options({"timeout": 0}) == check_options({"timeout": math.inf}) == {"timeout": 0.0}


def test_headers_are_copied() -> None:
    """What the caller does to his mapping later does not reach the task."""
    mine = {"a": "1"}
    checked = check_options({"headers": mine})
    mine["a"] = "2"
    assert checked == {"headers": {"a": "1"}}


def test_what_is_said_later_wins_and_headers_are_merged() -> None:
    """As asynq: the options of the call come after those of the task."""
    earlier = CheckedOptions(queue="low", max_retry=3, headers={"a": "1", "b": "1"})
    later = CheckedOptions(queue="high", headers={"b": "2"})
    assert merge_options(earlier, later) == {"queue": "high", "max_retry": 3, "headers": {"a": "1", "b": "2"}}
    assert earlier["headers"] == {"a": "1", "b": "1"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"at": 9.0}, {"delay": 5.0}),
        ({"delay": 5.0}, {"at": 9.0}),
        ({"expires_at": 9.0}, {"expires_in": 5.0}),
    ],
)
def test_a_later_wait_replaces_an_earlier_instant(earlier: Any, later: Any) -> None:
    """The contradiction of one call is an override over two."""
    assert merge_options({"queue": "q", **earlier}, later) == {"queue": "q", **later}


DURATIONS = st.floats(0.001, 1e9)
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), min_size=1).filter(
    lambda text: not text.isspace()
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "queue": TEXTS,
        "max_retry": st.integers(0, 100),
        "timeout": DURATIONS,
        "deadline": INSTANTS,
        "process_at": INSTANTS,
        "unique": DURATIONS,
        "task_id": TEXTS,
        "retention": DURATIONS,
        "headers": st.dictionaries(TEXTS, st.text(st.characters(exclude_categories=["Cs"]))),
        "expires_in": DURATIONS,
    },
)


@given(OPTIONS)
def test_public_options_are_what_was_given(options: dict[str, Any]) -> None:
    """So a scheduler can show them, and enqueue with them again."""
    checked = check_options(options)
    again = public_options(checked)
    assert again.keys() == options.keys()
    for name, value in options.items():
        if isinstance(value, datetime):
            assert abs(again[name] - value) <= timedelta(microseconds=1)  # type: ignore[literal-required]
        else:
            assert again[name] == value  # type: ignore[literal-required]


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.floats(), st.booleans(), st.binary())))
def test_whatever_is_given_is_accepted_or_refused_with_our_error(options: dict[str, object]) -> None:
    """No option makes the checker itself fail."""
    try:
        check_options(options)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - some are right
