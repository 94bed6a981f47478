"""A full Redis: each script is refused as a whole or goes through to its end (ADR 9).

Redis looks at the first write of a script only, so that write decides.
"""

# ruff: noqa: FBT003 - a detail is a row of values, booleans among them

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.lua.space import CHANNEL, KEYS, NEWS, Space, packed
from tests.support.servers import RedisOptions, RedisProcess, oldest_binary, system_binary

Arrange = Callable[[Space], None]
Act = Callable[[Space], Any]

STAND, LEASE, KEEP = 7.0, 30.0, 60.0


# Which commands a script may still use has changed from version to version.
@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("system", marks=pytest.mark.system_redis), "oldest"],
)
def full_process(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """A server of these tests' own: nobody else shall run out of memory."""
    binary: Path | None = None
    if request.param != "embedded":
        request.getfixturevalue(f"{request.param}_redis")  # skips, or fails in CI, where there is none
        binary = system_binary() if request.param == "system" else oldest_binary()
    with RedisProcess(RedisOptions(binary=binary)) as process:
        yield process


@pytest.fixture
def space(full_process: RedisProcess) -> Iterator[Space]:
    """An empty keyspace, which `_fill` fills."""
    with full_process.client() as client:
        client.config_set("maxmemory", 0)
        client.flushall()
        yield Space(client)


def _fill(client: Redis) -> None:
    """Let the memory in use be more than there may be."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "100kb")  # less than an empty server needs
    with pytest.raises(ResponseError, match="maxmemory"):
        client.set("is it full", "")


def _enqueue(space: Space, *details: bytes | str, extra: Sequence[str] = (), again: bool = False) -> Any:
    """Enqueue tasks; `extra` are the lock and the group of the last one."""
    q = space.q
    keys = [q.pending, q.scheduled, q.groups, q.flow, q.waiting, q.receipt("c")]
    args: list[object] = [1, 60, CHANNEL, NEWS, "", q.task_prefix]
    for number, detail in enumerate(details):
        keys.append(q.task(f"n{number}"))
        args += [f"n{number}", "message", detail]
    return space.run("enqueue", [*keys, *extra], *args, again=again)


def _settle(outcome: str, *detail: object, lock: str | None = None) -> Act:
    """Settle the delivery `s:1` of the task `a`."""

    def act(space: Space) -> Any:
        q, now = space.q, space.now()
        keys = [q.lease, q.pending, q.retry, q.scheduled, q.archived, q.completed, q.processed, q.failed]
        keys += [q.day("processed", now), q.day("failed", now), q.flow, q.waiting, q.awaited, q.task("a")]
        args: list[object] = [1, CHANNEL, NEWS, ""]
        if outcome == "plain":
            return space.run("settle", keys, *args, 1, 1, "a", "s:1")
        keys += [q.unique(lock)] if lock else []
        given = packed(*detail) if detail else ""
        return space.run("settle", keys, *args, 0, 1, "a", "s:1", outcome, given)

    return act


def _deliver(space: Space) -> Any:
    q = space.q
    keys = [q.receipt("s.0"), q.pending, q.lease, q.paused, q.waiting, q.flow]
    reply = space.run("deliver", keys, "s", 1, 5, LEASE, STAND, CHANNEL, "", 5, q.task_prefix)
    return reply[2::4]


def _extend(space: Space) -> Any:
    q = space.q
    return space.run("extend", [q.lease, q.task("a"), q.task("b")], LEASE, "a", "s:1", "b", "s:2")


def _forward(space: Space) -> Any:
    q = space.q
    keys = [q.scheduled, q.retry, q.pending, q.waiting, q.groups, q.flow]
    return space.run("forward", keys, 100, CHANNEL, "", NEWS, q.task_prefix, q.group_prefix)[0]


def _recover(space: Space) -> Any:
    q = space.q
    keys = [q.lease, q.pending, q.archived, q.waiting, q.flow]
    args = [100, 5, CHANNEL, "", space.now(), "1", q.task_prefix, q.unique_prefix]
    return space.run("recover", keys, *args)[3:]


def _sweep(space: Space) -> Any:
    q = space.q
    return space.run("sweep", [q.completed, q.archived, q.flow], 100, 9, 100, q.task_prefix, q.unique_prefix)


def _step_aside(space: Space) -> Any:
    return space.run("step_aside", [space.q.pending, space.q.waiting], "s", CHANNEL, "")


def _annotate(space: Space) -> Any:
    return space.run("annotate", [space.q.task("a")], "s:1", "result", "x" * 100)


def _await(space: Space) -> Any:
    return space.run("await", [space.q.awaited, space.q.task("a"), space.q.task("b")], "c", 30)


def _dismiss(space: Space) -> Any:
    return space.run("dismiss", [space.q.task("a"), space.q.task("b")], "c")


def _cancel(space: Space) -> Any:
    q, words = space.q, []
    for task_id in "abcde":
        keys = [q.task(task_id), q.pending, q.scheduled, q.retry, q.archived, q.groups]
        words.append(space.run("cancel", keys, CHANNEL, task_id, q.group_prefix, q.unique_prefix))
    return words


def _balance(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.paused]
    return space.run("balance", keys, q.group_prefix, 100, 0)[0]


def _mend(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.waiting]
    detail = packed(KEEP, [], "")
    reply = space.run("mend", keys, "1", q.task_prefix, q.group_prefix, CHANNEL, "", "a", detail, "b", detail)
    return [entry[0] for entry in reply]


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


def _running(space: Space) -> None:
    """The task `a` runs, with a lock; `b` runs too, and a server idles."""
    space.active("a", "s:1", unique="k")
    space.active("b", "s:2")
    space.client.set(space.q.unique("k"), "a")
    space.client.zadd(space.q.waiting, {"t": space.now() + STAND})


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


def _lost(space: Space) -> None:
    """Of two leases that ran out one belongs to a task that lost too many, one to no task."""
    space.active("a", "s:1", ends_in=-1)
    space.active("b", "s:2", ends_in=-1, lost=4)
    space.client.zadd(space.q.lease, {"gone": 1})


def _waiting(space: Space) -> None:
    """There is something to take, and an id without a task."""
    space.client.lpush(space.q.pending, "gone")
    space.pending("a", "b")


def _vanished(space: Space) -> None:
    space.client.lpush(space.q.pending, "gone")


def _paused(space: Space) -> None:
    _waiting(space)
    space.client.set(space.q.paused, "1")


def _due(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=-1)
    space.delayed("b", "retry", due_in=-1)
    space.delayed("c", "scheduled", due_in=-1, group="g")
    space.client.zadd(space.q.retry, {"gone": 1})


def _over(space: Space) -> None:
    for task_id, state in (("a", "completed"), ("b", "archived")):
        space.delayed(task_id, state, due_in=-10, unique=task_id)
        space.client.set(space.q.unique(task_id), task_id)


def _at_rest(_: Space) -> None:
    """Nothing is there."""


def _answered(space: Space) -> None:
    """A call was answered already, and is sent again."""
    _waiting(space)
    _deliver(space)


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


def _state(space: Space) -> dict[str, Any]:
    """Return the keyspace, with its moments as tens of seconds from now."""
    now = space.now()

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: plain(float(item) if name.endswith("_at") else item) for name, item in value.items()
            }
        return round((value - now) / 10) if isinstance(value, float) and value > 1e9 else value

    return {name: plain(value) for name, value in space.everything().items()}


@pytest.mark.parametrize(
    ("arrange", "act"),
    [
        pytest.param(_running, _settle("plain"), id="settle-plain"),
        pytest.param(_running, _settle("done", b"r", True, lock="k"), id="settle-done"),
        pytest.param(_running, _settle("complete", b"r", True, KEEP, lock="k"), id="settle-complete"),
        pytest.param(_running, _settle("retry", "e", 20.0, True), id="settle-retry"),
        pytest.param(_running, _settle("archive", "e", "r", True), id="settle-archive"),
        pytest.param(_running, _settle("requeue"), id="settle-requeue"),
        pytest.param(_running, _settle("defer", 20.0), id="settle-defer"),
        pytest.param(_running, _settle("drop", "revoked", True, lock="k"), id="settle-drop"),
        pytest.param(_running, _extend, id="extend"),
        pytest.param(_running, _cancel, id="cancel"),
        pytest.param(_wanted_no_more, _cancel, id="cancel-waiting"),
        pytest.param(_running, _settle("archive", "e", "r", True, True), id="settle-archive-unlock"),
        pytest.param(_awaited, _dismiss, id="dismiss"),
        pytest.param(_awaited, _await, id="await-known"),
        pytest.param(_due, _forward, id="forward"),
        pytest.param(_at_rest, _forward, id="forward-nothing"),
        pytest.param(_lost, _recover, id="recover"),
        pytest.param(_running, _recover, id="recover-nothing"),
        pytest.param(_waiting, _deliver, id="deliver"),
        pytest.param(_at_rest, _deliver, id="deliver-nothing"),
        pytest.param(_vanished, _deliver, id="deliver-vanished"),
        pytest.param(_paused, _deliver, id="deliver-paused"),
        pytest.param(_answered, _deliver, id="deliver-again"),
        pytest.param(_over, _sweep, id="sweep"),
        pytest.param(_at_rest, _sweep, id="sweep-nothing"),
        pytest.param(_waiting, _step_aside, id="step_aside"),
        pytest.param(_ghosts, _mend, id="mend"),
        pytest.param(_empty_group, _regroup, id="regroup-empty"),
        pytest.param(_dead_lock, _unlock, id="unlock-dead"),
    ],
)
def test_what_is_there_is_worked_on_as_ever(space: Space, arrange: Arrange, act: Act) -> None:
    """Only so does a full Redis get empty again: same answer, same keyspace as with memory."""
    arrange(space)
    expected = act(space)
    after = _state(space)
    space.client.flushall()

    arrange(space)
    _fill(space.client)
    assert act(space) == expected
    assert _state(space) == after


def test_who_waits_may_look_and_is_not_told(space: Space) -> None:
    """A mark would take memory. Looking again after a while is what stands behind the messages anyway."""
    _running(space)
    before = space.everything()
    _fill(space.client)
    assert [state for state, *_ in _await(space)] == ["active", "active"]
    assert space.everything() == before


def _new(*details: bytes | str, lock: bool = False, group: bool = False) -> Act:
    def act(space: Space) -> Any:
        extra = [space.q.unique("n")] * lock + [space.q.group("g"), space.q.gathering] * group
        return _enqueue(space, *details, extra=extra)[0]

    return act


@pytest.mark.parametrize(
    ("arrange", "act", "word"),
    [
        pytest.param(_at_rest, _new(""), "pending", id="enqueue"),
        pytest.param(_waiting, _new(*[""] * 1000), "pending", id="enqueue-many"),
        pytest.param(_at_rest, _new("", packed(0, 60, 0, "", "")), "pending,scheduled", id="enqueue-delayed"),
        pytest.param(_at_rest, _new(packed(0, 60, 0, "", "")), "scheduled", id="enqueue-only-delayed"),
        pytest.param(_at_rest, _new(packed(0, 0, 9, "n", ""), lock=True), "pending", id="enqueue-unique"),
        pytest.param(_at_rest, _new(packed(0, 0, 0, "", "g"), group=True), "aggregating", id="enqueue-group"),
        pytest.param(_running, _annotate, "ok", id="annotate"),
        pytest.param(_miscounted, _balance, "counted", id="balance"),
        pytest.param(_at_rest, _record, "ok", id="record"),
        pytest.param(_lonely, _mend, ["orphan", ""], id="mend-group"),
        pytest.param(_unlisted_group, _regroup, ["unlisted", "fine"], id="regroup-unlisted"),
        pytest.param(_stray_lock, _unlock_vouched, ["stray", "a"], id="unlock-stray"),
    ],
)
def test_what_would_add_is_refused_as_a_whole(space: Space, arrange: Arrange, act: Act, word: object) -> None:
    """Half of it would be damage. Nothing is remembered: the same call goes through when there is room."""
    arrange(space)
    before = space.everything()
    _fill(space.client)
    with pytest.raises(ResponseError, match="maxmemory"):
        act(space)
    assert space.everything() == before
    space.client.config_set("maxmemory", 0)
    assert act(space) == word
    assert space.everything() != before


@pytest.mark.parametrize("again", [False, True])
def test_an_enqueue_that_was_answered_is_answered_again(space: Space, *, again: bool) -> None:
    """Its tasks are there: to refuse it now would make the client enqueue them twice."""
    expected = _enqueue(space, "", again=again)[0]
    _fill(space.client)
    before = space.everything()
    assert _enqueue(space, "", again=True)[0] == expected
    assert space.everything() == before
