"""`regroup`: the set of groups is what the aggregator reads, so it has to name them all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space


def _regroup(space: Space, *names: str, apply: bool, again: bool = False) -> list[Any]:
    q = space.q
    keys = [q.groups, *(q.group(name) for name in names)]
    found: list[Any] = space.run("regroup", keys, "1" if apply else "", *names, again=again)
    return found


def _arrange(space: Space, *, listed: tuple[str, ...], filled: tuple[str, ...]) -> None:
    for name in listed:
        space.client.sadd(space.q.groups, name)
    for name in filled:
        space.client.zadd(space.q.group(name), {f"of-{name}": 5})


@pytest.mark.parametrize("apply", [False, True])
def test_a_group_that_agrees_is_fine(space: Space, *, apply: bool) -> None:
    """Listed with tasks, or neither: both are how it should be."""
    _arrange(space, listed=("a",), filled=("a",))
    before = space.everything()
    assert _regroup(space, "a", "never was", apply=apply) == ["fine", "fine"]
    assert space.everything() == before


def test_a_group_that_is_not_listed_is_added(space: Space) -> None:
    """Its tasks would wait for ever: nobody looks into it."""
    _arrange(space, listed=("a",), filled=("a", "b"))
    before = space.everything()
    assert _regroup(space, "a", "b", apply=True) == ["fine", "unlisted"]
    assert space.everything() == {**before, "groups": {"a", "b"}}


def test_a_name_without_tasks_is_taken_out(space: Space) -> None:
    """It would be looked at with every tick."""
    _arrange(space, listed=("a", "b"), filled=("a",))
    before = space.everything()
    assert _regroup(space, "b", "a", apply=True) == ["empty", "fine"]
    assert space.everything() == {**before, "groups": {"a"}}


def test_judging_changes_nothing(space: Space) -> None:
    """The words are the same as when it is put right."""
    _arrange(space, listed=("a", "c"), filled=("a", "b"))
    before = space.everything()
    assert _regroup(space, "a", "b", "c", apply=False) == ["fine", "unlisted", "empty"]
    assert space.everything() == before


@pytest.mark.parametrize("again", [False, True])
def test_sent_again_it_finds_all_fine(space: Space, *, again: bool) -> None:
    """What was put right needs nothing more."""
    _arrange(space, listed=("c",), filled=("b",))
    _regroup(space, "b", "c", apply=True)
    before = space.everything()
    assert _regroup(space, "b", "c", apply=True, again=again) == ["fine", "fine"]
    assert space.everything() == before


def test_groups_that_are_not_named_are_not_touched(space: Space) -> None:
    """Another part of the walk brings them."""
    _arrange(space, listed=("c",), filled=("b",))
    before = space.everything()
    assert _regroup(space, apply=True) == []
    assert space.everything() == before
