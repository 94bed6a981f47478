"""`list_pending`: pages of a list that is taken from on one side and added to on the other meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.lua.space import Space, about


def _list(
    space: Space,
    *,
    backwards: bool = False,
    size: int = 3,
    most_bytes: int | str = "",
    passed: int = 0,
    anchors: Sequence[str] = (),
    asked: Sequence[str] = (),
) -> list[Any]:
    """Now, length, how many follow, ids, fields, passed before, and how many of those asked about wait."""
    args = ("1" if backwards else "", size, most_bytes, passed, len(anchors), *anchors, *asked)
    reply: list[Any] = space.run("list_pending", [space.q.pending], space.q.task_prefix, *args)
    return reply


def _ids(count: int, start: int = 0) -> list[str]:
    return [f"t{number}" for number in range(start, start + count)]


def test_the_next_to_be_taken_comes_first(space: Space) -> None:
    """Or last."""
    space.pending(*_ids(5))
    before = space.everything()
    now, *rest = _list(space, most_bytes=1000)
    assert rest == [5, 2, ["t0", "t1", "t2"], [["msg", f"m-t{number}"] for number in range(3)], 0, 0]
    assert _list(space, passed=3, anchors=["t2"])[1:] == [5, 0, ["t3", "t4"], [], 3, 0]
    assert _list(space, backwards=True)[3] == ["t4", "t3", "t2"]
    assert _list(space, backwards=True, passed=3, anchors=["t2"])[3] == ["t1", "t0"]
    assert float(now) == about(space.now())
    assert space.everything() == before


def test_an_empty_list_is_an_empty_page(space: Space) -> None:
    """And a page behind its end as well."""
    assert _list(space)[1:] == [0, 0, [], [], 0, 0]
    space.pending("a")
    assert _list(space, passed=7)[1:] == [1, 0, [], [], 1, 0]


@pytest.mark.parametrize("taken", [1, 2, 3, 4])
def test_what_is_taken_meanwhile_does_not_shift_the_next_page(space: Space, taken: int) -> None:
    """By a server, in the order of the list."""
    space.pending(*_ids(9))
    space.client.rpop(space.q.pending, taken)
    found = _list(space, passed=3, anchors=["t2", "t1", "t0"])[3]
    # Where all that were passed are gone, and more: what is there now was not seen yet.
    assert found == (["t3", "t4", "t5"] if taken <= 3 else ["t4", "t5", "t6"])


def test_what_is_given_back_meanwhile_does_not_shift_the_next_page(space: Space) -> None:
    """It is put in front."""
    space.pending(*_ids(9))
    space.client.rpush(space.q.pending, "back", "again")
    assert _list(space, passed=3, anchors=["t2", "t1", "t0"])[3] == ["t3", "t4", "t5"]


def test_what_is_added_meanwhile_does_not_shift_the_next_page_from_behind(space: Space) -> None:
    """Read backwards, new tasks come in at the beginning."""
    space.pending(*_ids(9))
    space.pending(*_ids(5, start=9))
    assert _list(space, backwards=True, passed=3, anchors=["t6", "t7", "t8"])[3] == ["t5", "t4", "t3"]


def test_an_anchor_that_was_deleted_leaves_the_others(space: Space) -> None:
    """That is why there are several."""
    space.pending(*_ids(9))
    space.client.lrem(space.q.pending, 1, "t2")
    assert _list(space, passed=3, anchors=["t2", "t1", "t0"])[3] == ["t3", "t4", "t5"]
    assert _list(space, backwards=True, passed=7, anchors=["t2", "t3"])[3] == ["t1", "t0"]


def test_an_anchor_that_moved_far_is_found(space: Space) -> None:
    """Thousands were taken, or came, between two pages."""
    space.pending(*_ids(8000))
    assert _list(space, passed=5000, anchors=["t100"])[3] == ["t101", "t102", "t103"]
    found = _list(space, backwards=True, passed=2, anchors=["t2000"])[3]
    assert found == ["t1999", "t1998", "t1997"]


def test_who_asks_is_told_how_many_are_still_pending(space: Space) -> None:
    """By their hashes: bulk work ends when the newest of its tasks were taken."""
    space.pending("a", "b", "c")
    space.active("d", "s:1")
    assert _list(space, asked=["a", "c", "d", "nobody"])[6] == 2
    assert _list(space, passed=1, anchors=["a"], asked=["a"])[6] == 1


def test_large_tasks_make_a_short_page(space: Space) -> None:
    """As in `list`."""
    space.pending("a", "b", "c")
    assert _list(space, most_bytes=0)[2:4] == [2, ["a"]]


def test_what_is_no_task_spoils_no_page(space: Space) -> None:
    """An id without a hash, and one with something else in its place."""
    space.pending("a", "b")
    space.client.lpush(space.q.pending, "ghost", "odd")
    space.client.set(space.q.task("odd"), "what")
    found = _list(space, size=9, most_bytes=1000, asked=["odd"])
    assert found[3:5] == [["a", "b", "ghost", "odd"], [["msg", "m-a"], ["msg", "m-b"], [], []]]
    assert found[6] == 0
