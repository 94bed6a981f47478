"""`gather`: groups whose time has come become sets of one server, others stay as they are."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from asyncq._wire.keys import QueueKeys
from tests.lua.grouping import add, take
from tests.lua.space import Space, about, packed

FULL = 1000


class _Found(NamedTuple):
    """What `gather` answered."""

    wait: float | None
    cursors: list[str]
    sets: list[tuple[int, str, str, int]]
    """Number of the queue, group, key of the set and how many tasks are in it."""


def _gather(
    space: Space,
    *queues: QueueKeys,
    number: int = 1,
    server: str = "s",
    want: int = 10,
    first: int = 1,
    page: int = 100,
    lease: float = 30.0,
    grace: float = 60.0,
    max_delay: float = 0.0,
    max_size: int = FULL,
    cursors: dict[str, str] | None = None,
    left_alone: tuple[str, ...] = (),
    special: tuple[tuple[str, float, float, int], ...] = (),
    sizes: str = "",
    again: bool = False,
) -> _Found:
    """Take ripe groups."""
    given = queues or (space.q,)
    keys = [given[0].receipt(f"{server}.groups")]
    args: list[object] = [server, number, want, first, page, lease, grace, max_delay, max_size, 60]
    args += [packed(*special), sizes or str(max_size)]
    for queue in given:
        keys += [queue.groups, queue.aggregation_sets, queue.gathering]
        args += [queue.group_prefix, (cursors or {}).get(queue.name, "0"), packed(*left_alone)]
    wait, ends, *sets = space.run("gather", keys, *args, again=again)
    rows = [(sets[at], sets[at + 1], sets[at + 2], sets[at + 3]) for at in range(0, len(sets), 4)]
    return _Found(float(wait) if wait else None, ends, rows)


def _names(space: Space, **given: float) -> list[str]:
    return [name for _, name, _, _ in _gather(space, **given).sets]  # type: ignore[arg-type]


def _rest(space: Space) -> dict[str, object]:
    return space.everything(without=("receipt", "gathering", ":t:"))


def test_a_ripe_group_becomes_a_set_under_a_lease(space: Space) -> None:
    """With the tasks as old as they are. Its name is free for what comes next."""
    add(space, "g", "a", "b", ago=100.0)
    ages = space.everything()["g:g"]
    found = _gather(space, lease=30.0)
    key = space.q.group("g:s.1.0")
    assert found.sets == [(1, "g", key, 2)]
    assert found.cursors == ["0"]
    assert _rest(space) == {"g:g:s.1.0": ages, "aggregation_sets": {key: about(space.now() + 30)}}
    assert space.task("a") == {"msg": "m-a", "state": "aggregating", "group": "g"}


def test_a_group_is_ripe_when_no_task_has_come_for_the_grace_period(space: Space) -> None:
    """Each task that joins begins it anew."""
    add(space, "young", "a", ago=100.0)
    add(space, "young", "b", ago=40.0)
    add(space, "old", "c", ago=100.0)
    add(space, "old", "d", ago=61.0)
    found = _gather(space, grace=60.0)
    assert [name for _, name, _, _ in found.sets] == ["old"]
    assert found.wait == pytest.approx(20.0, abs=2.0)


def test_a_group_is_ripe_when_its_oldest_task_has_waited_for_the_longest_delay(space: Space) -> None:
    """However many still come."""
    add(space, "g", "a", ago=100.0)
    add(space, "g", "b", ago=1.0)
    found = _gather(space, grace=60.0, max_delay=130.0)
    assert (found.sets, found.wait) == ([], pytest.approx(30.0, abs=2.0))
    assert _gather(space, number=2, grace=60.0, max_delay=99.0).sets


def test_a_full_group_is_ripe_at_once_and_gives_no_more_than_its_size(space: Space) -> None:
    """The oldest go first; what is left is a group with an age of its own."""
    add(space, "g", *"abcde")
    found = _gather(space, max_size=2)
    assert [size for *_, size in found.sets] == [2, 2]
    assert [list(space.everything()[f"g:g:s.1.{number}"]) for number in (0, 1)] == [["a", "b"], ["c", "d"]]
    assert list(space.everything()["g:g"]) == ["e"]
    assert space.everything()["groups"] == {"g"}
    assert found.wait == pytest.approx(60.0, abs=2.0)


def test_sets_are_given_in_turn_by_the_queues(space: Space) -> None:
    """A queue with many ripe groups does not keep the others from theirs, and another is first each time."""
    for name in "abcd":
        add(space, name, f"in-{name}", ago=100.0)
    add(space, "z", "in-z", ago=70.0, queue=space.r)
    found = _gather(space, space.q, space.r, want=2, first=2)
    assert [(number, name) for number, name, _, _ in found.sets] == [(2, "z"), (1, "a")]
    assert found.wait == 0.0
    assert {name for _, name, _, _ in _gather(space, space.q, space.r, number=2).sets} == {"b", "c", "d"}


def test_the_group_that_was_ripe_first_is_first(space: Space) -> None:
    """Within one look."""
    for name, ago in (("b", 80.0), ("c", 70.0), ("a", 90.0)):
        add(space, name, f"in-{name}", ago=ago)
    assert _names(space) == ["a", "b", "c"]


def test_a_group_that_is_to_be_left_alone_is(space: Space) -> None:
    """It failed a moment ago. Its time is no reason to come back either."""
    add(space, "bad", "a", ago=100.0)
    found = _gather(space, left_alone=("bad",))
    assert (found.sets, found.wait) == ([], None)


def test_many_groups_are_looked_at_page_by_page(space: Space) -> None:
    """Redis does nothing else meanwhile."""
    for number in range(300):
        add(space, f"g{number}", f"t{number}", ago=100.0)
    seen: set[str] = set()
    cursor, number = "0", 1
    while number == 1 or cursor != "0":
        found = _gather(space, number=number, want=1000, page=50, cursors={"q": cursor})
        assert len(found.sets) < 300
        seen |= {name for _, name, _, _ in found.sets}
        (cursor,), number = found.cursors, number + 1
    assert seen == {f"g{number}" for number in range(300)}
    assert "groups" not in space.everything()


def test_a_set_whose_lease_ran_out_is_a_group_again(space: Space) -> None:
    """And is named as one: else nobody would ever find it. Being as old as it is, it is taken at once."""
    take(space, "g", "a", "b", ends_in=-1.0, name="dead.1.0")
    found = _gather(space)
    assert found.sets == [(1, "g", space.q.group("g:s.1.0"), 2)]
    assert space.everything()["g:g:s.1.0"] == {"a": 100.0, "b": 101.0}
    assert list(space.everything()["aggregation_sets"]) == [space.q.group("g:s.1.0")]


def test_what_came_meanwhile_and_what_was_given_back_are_one_group(space: Space) -> None:
    """In the order in which they came; the newest decides on the grace period."""
    add(space, "g", "c")
    take(space, "g", "a", "b", ends_in=-1.0, name="dead.1.0")
    assert _gather(space).sets == []
    assert list(space.everything()["g:g"]) == ["a", "b", "c"]
    assert space.everything()["groups"] == {"g"}
    assert "aggregation_sets" not in space.everything()


def test_a_set_under_a_lease_is_left_alone(space: Space) -> None:
    """Somebody works on it. But it is a reason to look again when the lease ends."""
    take(space, "g", "a", ends_in=20.0, name="alive.1.0")
    before = _rest(space)
    found = _gather(space)
    assert (found.sets, found.wait) == ([], pytest.approx(20.0, abs=2.0))
    assert _rest(space) == before


def test_a_name_that_is_none_of_ours_is_forgotten(space: Space) -> None:
    """It leads to no group."""
    space.client.zadd(space.q.aggregation_sets, {"nonsense": 1, "asyncq:{r}:g:g:s.1": 1})
    assert _gather(space).sets == []
    assert _rest(space) == {}


@pytest.mark.parametrize("again", [False, True])
def test_sent_again_it_answers_the_same_and_takes_nothing(space: Space, *, again: bool) -> None:
    """Else the sets of a lost answer would wait for the end of their leases."""
    add(space, "g", "a", ago=100.0)
    first = _gather(space, space.q, space.r)
    add(space, "h", "b", ago=100.0)
    before = space.everything()
    assert _gather(space, space.q, space.r, again=again).sets == first.sets
    assert space.everything() == before
    assert _names(space, number=2) == ["h"]


def test_a_call_that_comes_late_takes_nothing(space: Space) -> None:
    """Nobody waits for its answer any more."""
    _gather(space, number=2)
    add(space, "g", "a", ago=100.0)
    before = space.everything()
    assert _gather(space, number=1) == (0.0, ["0"], [])
    assert space.everything() == before


def test_clients_are_told_how_many_are_a_full_group(space: Space) -> None:
    """The smallest number of all servers; it is forgotten with them."""
    _gather(space, max_size=5)
    _gather(space, number=2, max_size=9)
    assert space.client.get(space.q.gathering) == b"5"
    _gather(space, number=3, max_size=4)
    assert space.client.get(space.q.gathering) == b"4"
    assert 0 < space.client.ttl(space.q.gathering) <= 60  # type: ignore[operator]


def test_with_several_sizes_clients_are_told_each_of_them(space: Space) -> None:
    """The smallest first: of servers that do not agree it says which of them is to be told."""
    _gather(space, sizes="3 5")
    _gather(space, number=2, sizes="4")
    assert space.client.get(space.q.gathering) == b"3 5"
    _gather(space, number=3, sizes="3 9")
    assert space.client.get(space.q.gathering) == b"3 9"


def test_a_group_is_ripe_by_the_settings_of_its_prefix(space: Space) -> None:
    """The first that fits; the others by those of all."""
    special = (("mail:urgent:", 5.0, 0.0, FULL), ("mail:", 600.0, 20.0, 2))
    for name in ("mail:urgent:a", "mail:b", "other"):
        add(space, name, "a" + name, ago=10.0)
    found = _gather(space, grace=60.0, lease=100.0, special=special)
    assert [name for _, name, _, _ in found.sets] == ["mail:urgent:a"]
    assert found.wait == pytest.approx(10.0, abs=1.0)  # the longest delay of mail:b
    add(space, "mail:b", *"pqrst", ago=5.0)
    found = _gather(space, number=2, grace=60.0, lease=100.0, special=special)
    assert [(name, size) for _, name, _, size in found.sets] == [("mail:b", 2)] * 3
    assert found.wait == pytest.approx(50.0, abs=1.0)


def test_a_listed_group_that_is_empty_is_taken_off_the_list(space: Space) -> None:
    """It would be looked at for ever."""
    space.client.sadd(space.q.groups, "empty")
    assert _gather(space) == (None, ["0"], [])
    assert _rest(space) == {}


@pytest.mark.parametrize("key", ["groups", "aggregation_sets", "gathering", "g:bad"])
def test_a_key_of_a_wrong_type_does_not_spoil_the_other_queues(space: Space, key: str) -> None:
    """Nor the other groups of its queue, where that can be."""
    add(space, "g", "a", ago=100.0)
    add(space, "h", "b", ago=100.0, queue=space.r)
    space.client.sadd(space.q.groups, "bad")
    space.client.delete(space.q.base + key)
    space.client.hset(space.q.base + key, "some", "thing")
    found = _gather(space, space.q, space.r)
    names = {name for _, name, _, _ in found.sets}
    assert names == ({"h"} if key in ("groups", "aggregation_sets") else {"g", "h"})
    assert found.cursors == (["unusable", "0"] if key in ("groups", "aggregation_sets") else ["0", "0"])
    assert space.client.hgetall(space.q.base + key) == {b"some": b"thing"}


def test_no_limits_by_time_or_number(space: Space) -> None:
    """`math.inf` seconds of grace: only a full group is ripe."""
    add(space, "g", "a", ago=1e6)
    found = _gather(space, grace=float("inf"), max_size=FULL)
    assert (found.sets, found.wait) == ([], float("inf"))
