"""`list`: a page of a sorted set costs the same wherever it is, and goes on where the last one ended."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.lua.space import Space, about


def _list(
    space: Space,
    *,
    state: str = "scheduled",
    backwards: bool = False,
    size: int = 10,
    most_bytes: int | str = 1_000_000,
    least: float | str = "-inf",
    most: float | str = "+inf",
    skip: int = 0,
    after: tuple[float | str, str] = ("", ""),
) -> list[Any]:
    """Now, total, how many follow, ids, scores, fields."""
    back = "1" if backwards else ""
    args = (back, size, most_bytes, least, most, skip, *after)
    reply: list[Any] = space.run("list", [space.q.base + state], space.q.task_prefix, *args)
    # What a score stands for is the score itself in this wire.
    assert reply.pop() == reply[4]
    return reply


def _arrange(space: Space, scores: dict[str, float], state: str = "scheduled") -> None:
    for task_id, score in scores.items():
        space.put(task_id, state)
        space.client.zadd(space.q.base + state, {task_id: score})


def test_a_page_has_ids_scores_and_all_fields(space: Space) -> None:
    """Whatever is known of a task is in its hash, also what later versions write there."""
    _arrange(space, {"a": 10, "b": 20.5})
    space.client.hset(space.q.task("b"), "retried", 3)
    before = space.everything()
    now, total, follow, ids, scores, fields = _list(space)
    assert (total, follow, ids, scores) == (2, 0, ["a", "b"], ["10", "20.5"])
    assert fields == [
        ["msg", "m-a", "state", "scheduled"],
        ["msg", "m-b", "state", "scheduled", "retried", "3"],
    ]
    assert float(now) == about(space.now())
    assert space.everything() == before


def test_an_empty_place_is_an_empty_page(space: Space) -> None:
    """Nobody has to look first."""
    assert _list(space)[1:] == [0, 0, [], [], []]
    assert _list(space, backwards=True)[1:] == [0, 0, [], [], []]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_by_what_was_seen_last_give_each_task_once(space: Space, size: int, *, backwards: bool) -> None:
    """Of one score, too: a thousand tasks may be due at the same second."""
    names = [f"{letter}{number}" for letter in "aZé" for number in range(4)]
    scores = {name: float(1 + at % 3) for at, name in enumerate(names)}
    _arrange(space, scores)
    ordered = sorted(names, key=lambda name: (scores[name], name.encode()))
    seen: list[str] = []
    after: tuple[float | str, str] = ("", "")
    while True:
        _, total, follow, ids, found, _ = _list(space, size=size, backwards=backwards, after=after)
        seen += ids
        assert (total, follow) == (len(names), len(names) - len(seen))
        if not follow:
            break
        after = (found[-1], ids[-1])
    assert seen == (ordered[::-1] if backwards else ordered)


def test_whoever_was_seen_last_need_not_be_there_any_more(space: Space) -> None:
    """It was deleted, ran, or got another time; nobody after it is left out, and nobody comes twice."""
    chance = random.Random(7)
    names = [f"{chance.randrange(10**6):x}" for _ in range(60)]
    scores = {name: float(chance.randrange(4)) for name in names}
    ordered = sorted(scores, key=lambda name: (scores[name], name.encode()))
    for at, gone in enumerate(ordered):
        space.client.flushall()
        _arrange(space, scores)
        space.client.zrem(space.q.scheduled, gone)
        after = (scores[gone], gone)
        assert _list(space, size=1, after=after)[3] == ordered[at + 1 : at + 2]
        assert _list(space, size=1, after=after, backwards=True)[3] == ordered[:at][-1:]
    space.client.zadd(space.q.scheduled, {ordered[3]: 99.0})
    assert _list(space, size=1, after=(scores[ordered[3]], ordered[3]))[3] == [ordered[4]]


def test_a_range_of_scores_and_a_page_by_its_number(space: Space) -> None:
    """Both ends are in."""
    _arrange(space, {name: float(at) for at, name in enumerate("abcdefgh")})
    assert _list(space, least=2, most=5)[2:4] == [0, ["c", "d", "e", "f"]]
    assert _list(space, least=2, most=5, size=2, skip=1)[2:4] == [1, ["d", "e"]]
    assert _list(space, least=2, most=5, size=2, skip=1, backwards=True)[2:4] == [1, ["e", "d"]]
    assert _list(space, least=2, most=5, after=("0", "a"))[3] == ["c", "d", "e", "f"]
    assert _list(space, least=2, most=5, after=("7", "h"), backwards=True)[3] == ["f", "e", "d", "c"]
    assert _list(space, skip=8)[2:4] == [0, []]
    assert _list(space, least=5, most=2)[2:4] == [0, []]


def test_large_tasks_make_a_short_page_and_never_an_empty_one(space: Space) -> None:
    """One answer may not hold a thousand messages of a megabyte."""
    _arrange(space, {"a": 1, "b": 2, "c": 3})
    assert _list(space, most_bytes=0)[2:4] == [2, ["a"]]
    assert _list(space, most_bytes=20)[2:4] == [1, ["a", "b"]]
    assert _list(space, most_bytes="")[2:] == [0, ["a", "b", "c"], ["1", "2", "3"], []]


def test_what_is_no_task_spoils_no_page(space: Space) -> None:
    """An id without a hash, and one with something else in its place."""
    _arrange(space, {"a": 1, "b": 2, "c": 3})
    space.client.delete(space.q.task("a"))
    space.client.delete(space.q.task("b"))
    space.client.set(space.q.task("b"), "what")
    assert _list(space)[3:] == [
        ["a", "b", "c"],
        ["1", "2", "3"],
        [[], [], ["msg", "m-c", "state", "scheduled"]],
    ]
