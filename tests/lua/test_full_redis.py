"""A full Redis: each script is refused as a whole or goes through to its end (ADR 9).

Redis looks at the first write of a script only, so that write decides.
"""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

from typing import Any

import pytest

from asyncq._wire.keys import GoKeys
from tests.lua import calls
from tests.lua.calls import KEEP, Act
from tests.lua.fullness import assert_as_ever, assert_refused_as_a_whole, fill
from tests.lua.scenes import Arrange, at_rest, due, lost, over, paused, running, waiting
from tests.lua.space import CHANNEL, KEYS, Space, packed

GO = GoKeys()


def _recover(space: Space) -> Any:
    return calls.recover(space)[1:]  # until the next lease ends it is not as long the second time


def _cancel(space: Space) -> Any:
    return [calls.cancel(task_id)(space) for task_id in "abcde"]


def _balance(space: Space) -> Any:
    return calls.balance(space, 0)[0]


def _step_aside(space: Space) -> Any:
    return space.run("step_aside", [space.q.pending, space.q.waiting], "s", CHANNEL, "")


def _annotate(space: Space) -> Any:
    return space.run("annotate", [space.q.task("a")], "s:1", "result", "x" * 100)


def _await(space: Space) -> Any:
    return space.run("await", [space.q.awaited, space.q.task("a"), space.q.task("b")], "c", 30)


def _dismiss(space: Space) -> Any:
    return space.run("dismiss", [space.q.task("a"), space.q.task("b")], "c")


def _regroup(space: Space) -> Any:
    q = space.q
    return space.run("regroup", [q.groups, q.group("g"), q.group("h")], "1", "g", "h")


def _unlock(space: Space) -> Any:
    q = space.q
    return space.run("unlock", [q.unique("k"), q.unique("l")], "1", q.task_prefix, "k", "a", "l", "")


def _unlock_vouched(space: Space) -> Any:
    q = space.q
    return space.run("unlock", [q.unique("k")], "1", q.task_prefix, "k", "a")


def _record(space: Space) -> Any:
    return space.run("record", [KEYS.history("e")], "event", 1, 9, 60)


def _awaited(space: Space) -> None:
    space.active("a", "s:1", awaited="c d")
    space.active("b", "s:2", awaited="c")
    space.client.set(space.q.awaited, "")


def _wanted_no_more(space: Space) -> None:
    space.pending("b", unique="k", awaited="c")
    space.client.set(space.q.unique("k"), "b")
    space.delayed("c", "scheduled", due_in=99)
    space.delayed("d", "retry", due_in=99, error="why")
    space.put("e", "aggregating", group="g")
    space.client.zadd(space.q.group("g"), {"e": 1})
    space.client.sadd(space.q.groups, "g")


def _vanished(space: Space) -> None:
    space.client.lpush(space.q.pending, "gone")


def _answered(space: Space) -> None:
    """A call was answered already, and is sent again."""
    waiting(space)
    calls.deliver(space)


def _ghosts(space: Space) -> None:
    """One id without a task, one task without a place."""
    space.client.zadd(space.q.retry, {"a": 1})
    space.put("b", "retry")


def _lonely(space: Space) -> None:
    """A task of a group in no place."""
    space.put("a", "aggregating", group="g")


def _empty_group(space: Space) -> None:
    """And one that is not listed."""
    space.client.sadd(space.q.groups, "g")
    space.client.zadd(space.q.group("h"), {"a": 1})


def _unlisted_group(space: Space) -> None:
    space.client.zadd(space.q.group("g"), {"a": 1})


def _dead_lock(space: Space) -> None:
    space.client.set(space.q.unique("k"), "a")


def _stray_lock(space: Space) -> None:
    """Its owner is there and does not know it."""
    space.put("a", "completed")
    space.client.set(space.q.unique("k"), "a")


def _miscounted(space: Space) -> None:
    space.client.hset(space.q.flow, "created", 3)


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(running, calls.settle("plain"), id="settle-plain"),
        pytest.param(running, calls.settle("done", b"r", True, lock="k"), id="settle-done"),
        pytest.param(running, calls.settle("complete", b"r", True, KEEP, lock="k"), id="settle-complete"),
        pytest.param(running, calls.settle("retry", "e", 20.0, True), id="settle-retry"),
        pytest.param(running, calls.settle("archive", "e", "r", True), id="settle-archive"),
        pytest.param(running, calls.settle("archive", "e", "r", True, False, 5, "t" * 900), id="settle-note"),
        pytest.param(running, calls.settle("requeue"), id="settle-requeue"),
        pytest.param(running, calls.settle("defer", 20.0), id="settle-defer"),
        pytest.param(running, calls.settle("drop", "revoked", True, lock="k"), id="settle-drop"),
        pytest.param(running, calls.extend, id="extend"),
        pytest.param(running, _cancel, id="cancel"),
        pytest.param(_wanted_no_more, _cancel, id="cancel-waiting"),
        pytest.param(running, calls.settle("archive", "e", "r", True, True), id="settle-archive-unlock"),
        pytest.param(_awaited, _dismiss, id="dismiss"),
        pytest.param(_awaited, _await, id="await-known"),
        pytest.param(due, calls.forward, id="forward"),
        pytest.param(at_rest, calls.forward, id="forward-nothing"),
        pytest.param(lost, _recover, id="recover"),
        pytest.param(running, _recover, id="recover-nothing"),
        pytest.param(waiting, calls.deliver, id="deliver"),
        pytest.param(at_rest, calls.deliver, id="deliver-nothing"),
        pytest.param(_vanished, calls.deliver, id="deliver-vanished"),
        pytest.param(paused, calls.deliver, id="deliver-paused"),
        pytest.param(_answered, calls.deliver, id="deliver-again"),
        pytest.param(over, calls.sweep, id="sweep"),
        pytest.param(at_rest, calls.sweep, id="sweep-nothing"),
        pytest.param(waiting, _step_aside, id="step_aside"),
        pytest.param(_ghosts, calls.mend("a", "b"), id="mend"),
        pytest.param(_empty_group, _regroup, id="regroup-empty"),
        pytest.param(_dead_lock, _unlock, id="unlock-dead"),
    ],
)
def test_what_is_there_is_worked_on_as_ever(own_space: Space, arrange: Arrange, act: Act) -> None:
    """Only so does a full Redis get empty again: same answer, same keyspace as with memory."""
    assert_as_ever(own_space, arrange, act)


def test_who_waits_may_look_and_is_not_told(own_space: Space) -> None:
    """A mark would take memory. Looking again after a while is what stands behind the messages anyway."""
    running(own_space)
    before = own_space.everything()
    fill(own_space.client)
    assert [state for state, *_ in _await(own_space)] == ["active", "active"]
    assert own_space.everything() == before


def _go_server(space: Space) -> Any:
    return space.run("go_server", [GO.server("s"), GO.running("s")], 10, "info", "a", "1")


def _go_entries(space: Space) -> Any:
    return space.run("go_entries", [GO.scheduler("s")], 20, "entry")


def _shown_before(space: Space) -> None:
    space.client.set(GO.server("s"), "before")
    space.client.hset(GO.running("s"), "b", "before")
    space.client.rpush(GO.scheduler("s"), "before")


def _new(*details: bytes | str, lock: bool = False, group: bool = False) -> Act:
    def act(space: Space) -> Any:
        extra = [space.q.unique("n")] * lock + [space.q.group("g"), space.q.gathering] * group
        return calls.enqueue(space, *details, extra=extra)[0]

    return act


@pytest.mark.parametrize(
    ("arrange", "act", "word"),
    [
        pytest.param(at_rest, _new(""), "pending", id="enqueue"),
        pytest.param(waiting, _new(*[""] * 1000), "pending", id="enqueue-many"),
        pytest.param(at_rest, _new("", packed(0, 60, 0, "", "")), "pending,scheduled", id="enqueue-delayed"),
        pytest.param(at_rest, _new(packed(0, 60, 0, "", "")), "scheduled", id="enqueue-only-delayed"),
        pytest.param(at_rest, _new(packed(0, 0, 9, "n", ""), lock=True), "pending", id="enqueue-unique"),
        pytest.param(at_rest, _new(packed(0, 0, 0, "", "g"), group=True), "aggregating", id="enqueue-group"),
        pytest.param(running, _annotate, "ok", id="annotate"),
        pytest.param(_miscounted, _balance, "counted", id="balance"),
        pytest.param(at_rest, _record, "ok", id="record"),
        pytest.param(_shown_before, _go_server, "ok", id="go-server"),
        pytest.param(_shown_before, _go_entries, "ok", id="go-entries"),
        pytest.param(_lonely, calls.mend("a", "b"), ["orphan", ""], id="mend-group"),
        pytest.param(_unlisted_group, _regroup, ["unlisted", "fine"], id="regroup-unlisted"),
        pytest.param(_stray_lock, _unlock_vouched, ["stray", "a"], id="unlock-stray"),
    ],
)
def test_what_would_add_is_refused_as_a_whole(
    own_space: Space, arrange: Arrange, act: Act, word: object
) -> None:
    """Half of it would be damage. Nothing is remembered: the same call goes through when there is room."""
    assert_refused_as_a_whole(own_space, arrange, act, word)


@pytest.mark.parametrize("again", [False, True])
def test_an_enqueue_that_was_answered_is_answered_again(own_space: Space, *, again: bool) -> None:
    """Its tasks are there: to refuse it now would make the client enqueue them twice."""
    expected = calls.enqueue(own_space, "", again=again)[0]
    fill(own_space.client)
    before = own_space.everything()
    assert calls.enqueue(own_space, "", again=True)[0] == expected
    assert own_space.everything() == before
