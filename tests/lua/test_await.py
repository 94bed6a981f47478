"""`await` and `dismiss`, and what the scripts that end tasks say to those who wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.space import CHANNEL, NEWS, Space, packed

MINE, OTHERS = CHANNEL + "c", CHANNEL + "d"
_NOW = 1_700_000_000.0


def _await(space: Space, *ids: str, channel: str = MINE, again: bool = False) -> list[Any]:
    keys = [space.q.awaited, *(space.q.task(task_id) for task_id in ids)]
    reply: list[Any] = space.run("await", keys, channel, 30, again=again)
    return reply


def _settle(space: Space, *detail: Any, outcome: str = "plain") -> None:
    q = space.q
    keys = [q.lease, q.pending, q.retry, q.scheduled, q.archived, q.completed, q.processed, q.failed]
    keys += [q.day("processed", _NOW), q.day("failed", _NOW), q.flow, q.waiting, q.awaited, q.task("a")]
    if outcome == "plain":
        space.run("settle", keys, 1, CHANNEL, NEWS, "", 1, 1, "a", "s:1")
    else:
        given = packed(*detail) if detail else ""
        space.run("settle", keys, 1, CHANNEL, NEWS, "", 0, 1, "a", "s:1", outcome, given)


@pytest.mark.parametrize("again", [False, True])
def test_a_task_that_is_not_over_is_marked(space: Space, *, again: bool) -> None:
    """Once for each client, however often it asks."""
    space.active("a", "s:1", progress="p")
    space.pending("b")
    before = space.everything()
    for _ in range(2):
        assert _await(space, "a", "b", again=again) == [
            ["active", "p", None, None, None],
            ["pending", None, None, None, None],
        ]
    assert _await(space, "a", channel=OTHERS)[0][0] == "active"
    before["t:a"]["awaited"] = f"{MINE} {OTHERS}"
    before["t:b"]["awaited"] = MINE
    assert space.everything() == before | {"awaited": ""}
    assert 0 < space.client.ttl(space.q.awaited) <= 30


def test_what_is_over_says_how_and_is_not_marked(space: Space) -> None:
    """The result of one, the error of the other; the result of one that still runs is not its last word."""
    space.put("a", "completed", result="r", error="of an earlier attempt", progress="p")
    space.put("b", "archived", error="why", reason="exhausted", result="half")
    before = space.everything()
    assert _await(space, "a", "b", "c") == [
        ["completed", "p", "r", "of an earlier attempt", None],
        ["archived", None, None, "why", "exhausted"],
        ["missing", None, None, None, None],
    ]
    assert space.everything() == before


def test_without_a_channel_nothing_is_marked(space: Space) -> None:
    """Somebody looks once."""
    space.active("a", "s:1", result="half")
    before = space.everything()
    assert _await(space, "a", channel="") == [["active", None, None, None, None]]
    assert space.everything() == before


def test_the_list_of_those_who_wait_has_an_end(space: Space) -> None:
    """A task that a thousand programs wait for must not grow; those beyond look again after a while."""
    space.active("a", "s:1")
    for number in range(200):
        _await(space, "a", channel=f"{CHANNEL}client-{number:04}")
    assert 2048 <= len(space.task("a")["awaited"]) < 2148


def test_a_key_that_is_no_task_spoils_nothing(space: Space) -> None:
    """It is missing; the others are looked at."""
    space.client.set(space.q.task("a"), "not a hash")
    space.active("b", "s:1")
    assert [state for state, *_ in _await(space, "a", "b")] == ["missing", "active"]


@pytest.mark.parametrize("again", [False, True])
def test_who_waits_no_longer_is_forgotten(space: Space, *, again: bool) -> None:
    """The others are told all the same."""
    space.active("a", "s:1", awaited=f"{OTHERS} {MINE}")
    space.active("b", "s:2", awaited=MINE)
    space.active("d", "s:3")
    space.client.set(space.q.task("e"), "not a hash")
    before = space.everything()
    keys = [space.q.task(task_id) for task_id in "abcde"]
    assert space.run("dismiss", keys, MINE, again=again) == "ok"
    before["t:a"]["awaited"] = OTHERS
    del before["t:b"]["awaited"]
    assert space.everything() == before


@pytest.mark.parametrize(
    ("outcome", "detail", "how"),
    [
        ("plain", (), "done"),
        ("done", (None, False), "done"),
        ("complete", (b"r", False, 60.0), "completed"),
        ("archive", ("why", "exhausted", True), "archived"),
        ("drop", ("revoked", False), "revoked"),
        ("drop", ("expired", False), "expired"),
    ],
)
def test_the_end_is_told_to_all_who_wait(
    space: Space, outcome: str, detail: tuple[Any, ...], how: str
) -> None:
    """Each on its own channel, once; then nobody waits any more."""
    space.active("a", "s:1")
    _await(space, "a")
    _await(space, "a", channel=OTHERS)
    with space.listen(MINE, OTHERS) as ear:
        _settle(space, *detail, outcome=outcome)
        _settle(space, *detail, outcome=outcome)
        message = f"ended {how} {space.q.task('a')}"
        assert ear.heard() == [(MINE, message), (OTHERS, message)]
    assert "awaited" not in space.task("a")


@pytest.mark.parametrize(
    ("outcome", "detail"), [("retry", ("why", 9.0, True)), ("requeue", ()), ("defer", (9.0,))]
)
def test_what_is_not_the_end_is_not_told(space: Space, outcome: str, detail: tuple[Any, ...]) -> None:
    """And they wait on."""
    space.active("a", "s:1")
    _await(space, "a")
    with space.listen(MINE) as ear:
        _settle(space, *detail, outcome=outcome)
        assert ear.heard() == []
    assert space.task("a")["awaited"] == MINE


def test_another_deliverys_outcome_is_no_end(space: Space) -> None:
    """It changes nothing, so it says nothing."""
    space.active("a", "s:2")
    _await(space, "a")
    with space.listen(MINE) as ear:
        _settle(space)
        assert ear.heard() == []


def test_progress_is_told(space: Space) -> None:
    """A result that is written on the way is not: who waits wants the last one."""
    space.active("a", "s:1", awaited=f"{MINE} {OTHERS}")
    with space.listen(MINE, OTHERS) as ear:
        space.run("annotate", [space.q.task("a")], "s:1", "result", "half")
        space.run("annotate", [space.q.task("a")], "s:0", "progress", "of an earlier delivery")
        space.run("annotate", [space.q.task("a")], "s:1", "progress", "p")
        message = f"progress {space.q.task('a')}"
        assert ear.heard() == [(MINE, message), (OTHERS, message)]


def test_a_task_that_is_given_up_is_told(space: Space) -> None:
    """Recovery archives what keeps losing its server."""
    q = space.q
    space.active("a", "s:1", ends_in=-1.0, lost=4, awaited=MINE)
    with space.listen(MINE) as ear:
        keys = [q.lease, q.pending, q.archived, q.waiting, q.flow]
        space.run("recover", keys, 100, 5, CHANNEL, "", space.now(), "", 0, q.task_prefix, q.unique_prefix)
        assert ear.heard() == [(MINE, f"ended archived {q.task('a')}")]
    assert "awaited" not in space.task("a")
