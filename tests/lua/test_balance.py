"""`balance`: the counters of a queue, proved by what is there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space


def _balance(
    space: Space, *unlisted: str, most: int = 100, expected: int | str = "", again: bool = False
) -> tuple[str, list[int], str, int, dict[str, str]]:
    """Return the word, the sizes, whether paused, the surplus and the counters."""
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.paused]
    reply: list[Any] = space.run("balance", keys, q.group_prefix, most, expected, *unlisted, again=again)
    return reply[0], reply[1:8], reply[8], reply[9], dict(zip(reply[10::2], reply[11::2], strict=True))


def _fill(space: Space) -> None:
    """One task pending, two active, three scheduled, and so on."""
    q, client = space.q, space.client
    client.lpush(q.pending, "p")
    for count, name in enumerate(("lease", "scheduled", "retry", "archived", "completed"), 2):
        client.zadd(q.base + name, {f"{name}{number}": number for number in range(count)})
    client.sadd(q.groups, "one", "two")
    client.zadd(q.group("one"), {"g1": 1, "g2": 2})
    client.zadd(q.group("two"), {"g3": 3})
    client.zadd(q.aggregation_sets, {q.base + "set": 9})
    client.zadd(q.base + "set", {f"in{number}": number for number in range(4)})


SIZES = [1, 2, 3, 4, 5, 6, 7]


def _count(space: Space, **flow: object) -> None:
    space.client.hset(space.q.flow, mapping=flow)  # type: ignore[arg-type]


@pytest.mark.parametrize("expected", ["", 0])
def test_a_queue_that_never_was_is_balanced(space: Space, expected: int | str) -> None:
    """And counting makes no counters."""
    assert _balance(space, expected=expected) == ("counted", [0] * 7, "0", 0, {})
    assert space.everything() == {}


@pytest.mark.parametrize("expected", ["", 0])
def test_what_is_there_and_what_is_gone_is_what_was_created(space: Space, expected: int | str) -> None:
    """Every counter but two is a way of going."""
    _fill(space)
    _count(space, created=60, corrected=-2, done=20, deleted=6, trimmed=4)
    before = space.everything()
    assert _balance(space, expected=expected) == ("counted", SIZES, "0", 0, before["flow"])
    assert space.everything() == before


def test_a_paused_queue_says_so(space: Space) -> None:
    """Its tasks are counted all the same."""
    space.client.set(space.q.paused, "1")
    space.client.lpush(space.q.pending, "a")
    _count(space, created=1)
    assert _balance(space) == ("counted", [1, 0, 0, 0, 0, 0, 0], "1", 0, {"created": "1"})


@pytest.mark.parametrize(("created", "surplus"), [(30, 2), (28, 0), (25, -3)])
def test_counting_does_not_correct(space: Space, created: int, surplus: int) -> None:
    """The surplus is how many tasks more the counters know than the places."""
    _fill(space)
    _count(space, created=created)
    before = space.everything()
    word, sizes, _, found, flow = _balance(space)
    assert (word, sizes, found, flow) == ("counted", SIZES, surplus, {"created": str(created)})
    assert space.everything() == before


@pytest.mark.parametrize(
    ("created", "expected", "corrected"), [(30, 0, -2), (25, 0, 3), (30, 2, None), (30, 5, 3), (28, -1, -1)]
)
@pytest.mark.parametrize("again", [False, True])
def test_the_counters_are_corrected_by_what_damage_does_not_explain(
    space: Space, created: int, expected: int, corrected: int | None, *, again: bool
) -> None:
    """What is there is never touched, only what is said about it. Sent again, nothing is left to correct."""
    _fill(space)
    _count(space, created=created)
    before = space.everything()
    if corrected is not None:
        before["flow"]["corrected"] = str(corrected)
    for flag in (again, True):
        assert _balance(space, expected=expected, again=flag) == (
            "counted", SIZES, "0", expected, before["flow"],
        )  # fmt: skip
        assert space.everything() == before


def test_corrections_add_up(space: Space) -> None:
    """An earlier one is part of what the counters say."""
    _count(space, created=5, corrected=-1)
    assert _balance(space, expected=0)[3:] == (0, {"created": "5", "corrected": "-5"})


@pytest.mark.parametrize(("most", "word"), [(4, "counted"), (3, "too_many_groups"), (0, "too_many_groups")])
def test_more_groups_than_may_be_counted_are_not_counted(space: Space, most: int, word: str) -> None:
    """Redis must not be held up; and half a count corrects nothing. Here are two groups, a set and a name."""
    _fill(space)
    _count(space, created=40)
    before = space.everything()
    found, sizes, _, surplus, flow = _balance(space, "three", most=most, expected=0)
    assert found == word
    if word == "counted":
        assert (sizes, surplus, flow["corrected"]) == (SIZES, 0, "-12")
    else:
        assert (sizes, surplus) == ([*SIZES[:6], 0], 40 - sum(SIZES[:6]))
        assert space.everything() == before


def test_groups_that_are_not_listed_count_once(space: Space) -> None:
    """Their tasks are there. One that was listed meanwhile is not counted twice."""
    _fill(space)
    space.client.zadd(space.q.group("hidden"), {"h1": 1, "h2": 2})
    assert _balance(space, "hidden", "one")[1] == [*SIZES[:6], 9]


@pytest.mark.parametrize("where", ["group", "set"])
def test_a_group_of_the_wrong_type_holds_no_tasks(space: Space, where: str) -> None:
    """The others are counted."""
    _fill(space)
    key = space.q.group("two") if where == "group" else space.q.base + "set"
    lost = space.client.zcard(key)
    space.client.delete(key)
    space.client.set(key, "x")
    assert _balance(space)[1] == [*SIZES[:6], 7 - int(lost)]


def test_a_counter_that_is_no_number_counts_nothing(space: Space) -> None:
    """It is shown as it is."""
    _count(space, created=1, done="much")
    assert _balance(space)[3:] == (1, {"created": "1", "done": "much"})
