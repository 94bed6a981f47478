"""`unlock`: a lock that nobody owns would keep a unique task out until it expires."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import Space


def _unlock(space: Space, *locks: tuple[str, str], apply: bool, again: bool = False) -> list[tuple[Any, Any]]:
    """Each lock is its suffix, and the id of the owner whose message names it or nothing."""
    q = space.q
    keys = [q.unique(suffix) for suffix, _ in locks]
    given = [item for lock in locks for item in lock]
    reply = space.run("unlock", keys, "1" if apply else "", q.task_prefix, *given, again=again)
    return list(zip(reply[::2], reply[1::2], strict=True))


def _lock(space: Space, suffix: str, owner: str) -> None:
    space.client.set(space.q.unique(suffix), owner)


@pytest.mark.parametrize("vouched", ["", "a", "b"])
@pytest.mark.parametrize("apply", [False, True])
def test_a_lock_of_a_task_that_names_it_is_fine(space: Space, vouched: str, *, apply: bool) -> None:
    """In whatever state the task is, and whoever was thought to be the owner a moment ago."""
    space.put("a", "completed", unique="k")
    _lock(space, "k", "a")
    before = space.everything()
    assert _unlock(space, ("k", vouched), apply=apply) == [("fine", "a")]
    assert space.everything() == before


@pytest.mark.parametrize("apply", [False, True])
def test_a_lock_that_went_meanwhile_is_gone(space: Space, *, apply: bool) -> None:
    """Locks expire and are released at any time; that is no damage."""
    assert _unlock(space, ("k", "a"), apply=apply) == [("gone", "")]
    assert space.everything() == {}


@pytest.mark.parametrize("vouched", ["", "a"])
def test_a_lock_whose_owner_is_gone_is_removed(space: Space, vouched: str) -> None:
    """Even if the owner was there when somebody read its message. No hash is made for it."""
    _lock(space, "k", "a")
    space.put("b", "completed", unique="other")
    _lock(space, "other", "b")
    before = space.everything()
    assert _unlock(space, ("k", vouched), apply=False) == [("dead", "a")]
    assert space.everything() == before
    assert _unlock(space, ("k", vouched), apply=True) == [("dead", "a")]
    del before["unique:k"]
    assert space.everything() == before


@pytest.mark.parametrize("named", [None, "another"])
@pytest.mark.parametrize("vouched", ["", "b"])
def test_a_lock_that_its_owner_does_not_know_is_removed(
    space: Space, named: str | None, vouched: str
) -> None:
    """When the task ends it releases the lock that its hash names, and never this one."""
    fields: dict[str, Any] = {} if named is None else {"unique": named}
    space.put("a", "completed", **fields)
    _lock(space, "k", "a")
    before = space.everything()
    assert _unlock(space, ("k", vouched), apply=False) == [("stray", "a")]
    assert space.everything() == before
    assert _unlock(space, ("k", vouched), apply=True) == [("stray", "a")]
    del before["unique:k"]
    assert space.everything() == before


@pytest.mark.parametrize("named", [None, "another"])
def test_a_lock_that_the_message_of_its_owner_names_is_kept(space: Space, named: str | None) -> None:
    """The message is the truth, the field beside it a copy: the copy is written again."""
    fields: dict[str, Any] = {} if named is None else {"unique": named}
    space.put("a", "completed", **fields)
    _lock(space, "k", "a")
    before = space.everything()
    assert _unlock(space, ("k", "a"), apply=False) == [("stray", "a")]
    assert space.everything() == before
    assert _unlock(space, ("k", "a"), apply=True) == [("stray", "a")]
    before["t:a"]["unique"] = "k"
    assert space.everything() == before


@pytest.mark.parametrize("apply", [False, True])
def test_what_is_no_lock_is_left_alone(space: Space, *, apply: bool) -> None:
    """Somebody put it there by hand and is told; it is not ours to remove."""
    space.client.rpush(space.q.unique("k"), "x")
    before = space.everything()
    assert _unlock(space, ("k", ""), apply=apply) == [("wrong_type", "")]
    assert space.everything() == before


def test_an_owner_that_is_no_hash_does_not_own(space: Space) -> None:
    """It cannot release anything. What it is stays for somebody to look at."""
    space.client.set(space.q.task("a"), "x")
    _lock(space, "k", "a")
    assert _unlock(space, ("k", ""), apply=True) == [("stray", "a")]
    assert space.everything() == {"t:a": "x"}


def test_many_locks_are_judged_one_by_one(space: Space) -> None:
    """Each with its own suffix and owner."""
    space.put("a", "completed", unique="k1")
    space.put("c", "completed")
    for suffix, owner in (("k1", "a"), ("k2", "nobody"), ("k3", "c")):
        _lock(space, suffix, owner)
    found = _unlock(space, ("k1", "a"), ("k2", ""), ("k3", "c"), ("k4", ""), apply=True)
    assert found == [("fine", "a"), ("dead", "nobody"), ("stray", "c"), ("gone", "")]
    assert space.everything() == {
        "t:a": {"msg": "m-a", "state": "completed", "unique": "k1"},
        "t:c": {"msg": "m-c", "state": "completed", "unique": "k3"},
        "unique:k1": "a",
        "unique:k3": "c",
    }


def test_sent_again_it_finds_nothing_to_do(space: Space) -> None:
    """A lock that was removed is gone, one that was kept is fine."""
    space.put("c", "completed")
    _lock(space, "k2", "nobody")
    _lock(space, "k3", "c")
    _unlock(space, ("k2", ""), ("k3", "c"), apply=True)
    before = space.everything()
    assert _unlock(space, ("k2", ""), ("k3", "c"), apply=True, again=True) == [("gone", ""), ("fine", "c")]
    assert space.everything() == before
