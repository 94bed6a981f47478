"""`sizes`: how many tasks several queues have in each state."""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._broker.queues import STATES
from asyncq._wire.keys import QueueKeys
from tests.lua.space import Space, commands_of

PLACES = (
    "pending", "lease", "scheduled", "retry", "archived", "completed", "groups", "aggregation_sets", "flow",
)  # fmt: skip


def _ask(space: Space, *queues: QueueKeys, most: int = 100) -> Any:
    keys = [getattr(q, place) for q in queues for place in PLACES]
    return space.run("sizes", keys, most, *(q.group_prefix for q in queues))


def _sizes(space: Space, *queues: QueueKeys, most: int = 100) -> list[dict[str, int]]:
    before = space.everything()
    found = _ask(space, *(queues or (space.q,)), most=most)
    assert space.everything() == before
    assert all(one == "" or len(one.split()) == len(STATES) + 1 for one in found)
    named = [zip((*STATES, "groups"), map(int, one.split()), strict=False) for one in found]
    return [{name: size for name, size in one if size} for one in named]


def _fill(space: Space) -> None:
    q = space.q
    space.pending("p1", "p2")
    space.active("a1", "s:1")
    for number, state in enumerate(("scheduled", "retry", "archived", "completed"), 1):
        for at in range(number):
            space.delayed(f"{state}{at}", state, due_in=60)
    space.client.zadd(q.group("g"), {"g1": 1, "g2": 2})
    space.client.zadd(q.group("h"), {"h1": 1})
    space.client.sadd(q.groups, "g", "h")
    space.client.zadd(q.base + "set", {"z": 1})
    space.client.zadd(q.aggregation_sets, {q.base + "set": space.now() + 60})


FULL = {
    "pending": 2, "active": 1, "scheduled": 1, "retry": 2, "archived": 3, "completed": 4, "aggregating": 4,
    "groups": 2,
}  # fmt: skip


def test_everything_is_counted(space: Space) -> None:
    """By state; a set that is being aggregated is in it, and groups are counted, too."""
    _fill(space)
    assert _sizes(space) == [FULL]


def test_nothing_is_nothing(space: Space) -> None:
    """Of a queue that is not there, and beside one that is."""
    _fill(space)
    space.pending("b", queue=space.r)
    nobody = space.keys.queue("nobody")
    assert _sizes(space, nobody, space.q, nobody, space.r) == [{}, FULL, {}, {"pending": 1}]


@pytest.mark.parametrize("place", PLACES[:-1])
def test_one_place_alone_is_found(space: Space, place: str) -> None:
    """It stops to ask when it has met as many places as there are: not one too early."""
    _fill(space)
    kept = {getattr(space.q, place), space.q.group("g"), space.q.group("h"), space.q.base + "set"}
    for name in PLACES:
        if getattr(space.q, name) not in kept:
            space.client.delete(getattr(space.q, name))
    state = {"lease": "active", "groups": "aggregating", "aggregation_sets": "aggregating"}.get(place, place)
    count = {"groups": 3, "aggregation_sets": 1}.get(place, FULL.get(state, 0))
    groups = {"groups": 2} if place == "groups" else {}
    assert _sizes(space) == [{state: count, **groups}]


def test_of_thousands_of_queues_most_cost_one_command(space: Space) -> None:
    """Nothing is in them; and one command more for each state that there is."""
    assert commands_of(space, lambda: _ask(space, space.q, space.r)) == {"exists": 2}
    space.pending("a")
    assert commands_of(space, lambda: _ask(space, space.q, space.r)) == {"exists": 2, "llen": 1}


@pytest.mark.parametrize(("most", "aggregating"), [(3, 4), (2, 5)])
def test_of_very_many_groups_the_account_tells(space: Space, most: int, aggregating: int) -> None:
    """Of what was created, 13 are elsewhere; and what one queue has used up the next one lacks."""
    _fill(space)
    space.client.hset(space.q.flow, mapping={"created": 20, "done": 2})
    assert _sizes(space, most=most)[0]["aggregating"] == aggregating
    assert [one["aggregating"] for one in _sizes(space, space.q, space.q, most=3)] == [4, 5]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_something_else_counts_nothing(space: Space, place: str) -> None:
    """And does not hide what is beside it, nor spoil the other queue."""
    space.client.set(getattr(space.q, place), "what")
    other = "completed" if place != "completed" else "archived"
    space.delayed("c", other, due_in=60)
    space.pending("b", queue=space.r)
    assert _sizes(space, space.q, space.r) == [{other: 1}, {"pending": 1}]
