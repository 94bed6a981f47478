"""A slot on its way to another node of a cluster: what has not been found has not vanished.

Its keys are on two nodes meanwhile. A script does not begin while the keys that it declares are
in two places; but those whose names it reads may still be elsewhere. They give an error on the node
that they have left, and nothing at all on the node that they have not reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from redis.exceptions import ResponseError, TryAgainError

from asyncq._redis.failures import Remedy, ReplyError
from tests.lua.space import CHANNEL, NEWS, Space, packed
from tests.lua.test_full_redis import LEASE, STAND
from tests.support.cluster import ClusterProcesses, SlotMove
from tests.support.servers import oldest_binary, system_binary

pytestmark = pytest.mark.cluster

Side = Literal["source", "target"]
KEEP = 60.0


# In which words a script hears of it has changed from version to version.
@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("system", marks=pytest.mark.system_redis), "oldest"],
)
def nodes(request: pytest.FixtureRequest) -> Iterator[ClusterProcesses]:
    """Two nodes."""
    binary: Path | None = None
    if request.param != "embedded":
        request.getfixturevalue(f"{request.param}_redis")  # skips, or fails in CI, where there is none
        binary = system_binary() if request.param == "system" else oldest_binary()
    offset = 10_000 if request.param == "oldest" else 0
    with ClusterProcesses(primaries=2, binary=binary, bus_offset=offset) as processes:
        yield processes


class _Moving(Space):
    """The queue `q` half-way between two nodes, seen from one of them."""

    def __init__(self, nodes: ClusterProcesses, arrange: Callable[[Space], None]) -> None:
        pending = "asyncq:{q}:pending"
        source = nodes.owner_of(pending)
        target = next(node for node in nodes.nodes if node is not source)
        self._move = SlotMove(nodes, pending, target)
        self._clients = {"source": source.client(), "target": target.client()}
        self._asks = False
        super().__init__(self._clients["source"])
        self.client.flushall()
        _furnish(self)
        arrange(self)
        self.before = self.everything()

    def begin(self, side: Side, late: str) -> None:
        """Let one key be where the others are not, and look from where those are."""
        self._move.begin()
        moved = [key for key in self._move.left() if (key == self.q.base + late) == (side == "source")]
        assert moved
        self._move.carry(*moved)
        self.client = self._clients[side]
        self._asks = side == "target"

    def end(self) -> None:
        """Let all the rest arrive."""
        self._move.end()
        self.client = self._clients["target"]
        self._asks = False

    def close(self) -> None:
        """Leave the nodes as they should be, also where the move cannot be brought to its end."""
        for client in self._clients.values():
            client.flushall()
            client.close()
        self._move.end()

    def run(self, name: str, keys: Any, *args: object, again: bool = False) -> Any:
        """Run a script where one was sent with ASK, if one was."""
        if self._asks:
            self.client.execute_command("ASKING")  # the next command has the same connection
        return super().run(name, keys, *args, again=again)


def _furnish(space: Space) -> None:
    """Let every key be there that a script may declare: only then does Redis begin it at all."""
    q, later = space.q, space.now() + 1000
    space.pending("p")
    space.active("l", "other:1", ends_in=1000)
    for state in ("scheduled", "retry", "completed"):
        space.delayed(f"x{state}", state, due_in=1000)
    space.delayed("old", "archived", due_in=0)
    space.put("y", "aggregating", group="g")
    space.client.zadd(q.group("g"), {"y": later})
    space.client.sadd(q.groups, "g")
    space.put("z", "aggregating", group="h")
    space.client.zadd(q.base + "set", {"z": later})
    space.client.zadd(q.aggregation_sets, {q.base + "set": later})
    space.client.hset(q.flow, "created", 100)
    space.client.set(q.paused, "1")
    # More than are woken.
    space.client.zadd(q.waiting, {f"idle{number}": later for number in range(9)})


def _lost(space: Space) -> None:
    space.active("a", "s:1", ends_in=-1)


def _recover(space: Space) -> Any:
    q = space.q
    keys = [q.lease, q.pending, q.archived, q.waiting, q.flow]
    args = [100, 5, CHANNEL, "1", space.now(), "1", q.task_prefix, q.unique_prefix]
    return space.run("recover", keys, *args)[2:]


def _due(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=-1)


def _due_in_a_group(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=-1, group="g")


def _forward(space: Space) -> Any:
    q = space.q
    keys = [q.scheduled, q.retry, q.pending, q.waiting, q.groups, q.flow]
    return space.run("forward", keys, 100, CHANNEL, "1", NEWS, q.task_prefix, q.group_prefix)[0]


def _over(space: Space) -> None:
    space.delayed("a", "completed", due_in=-10, unique="k")
    space.client.set(space.q.unique("k"), "a")


def _too_old(space: Space) -> None:
    space.delayed("a", "archived", due_in=-1000)


def _sweep(space: Space) -> Any:
    q = space.q
    return space.run(
        "sweep", [q.completed, q.archived, q.flow], 100, 500, 100, q.task_prefix, q.unique_prefix
    )


def _unique(space: Space) -> None:
    space.pending("a", unique="k")
    space.client.set(space.q.unique("k"), "a")


def _unlock(space: Space) -> Any:
    return space.run("unlock", [space.q.unique("k")], "1", space.q.task_prefix, "k", "")


def _pending(space: Space) -> None:
    space.pending("a")


def _page(space: Space) -> Any:
    return space.run("page", [space.q.pending], 0, -1, space.q.task_prefix)


def _scheduled(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=100)


def _examine(*ids: str) -> Callable[[Space], Any]:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.lease, q.scheduled, q.retry, q.archived, q.completed, q.aggregation_sets]
        return space.run("examine", keys, q.task_prefix, q.group_prefix, "", 0, *ids)[::3]

    return act


def _mend(task_id: str) -> Callable[[Space], Any]:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
        keys += [q.groups, q.aggregation_sets, q.flow, q.waiting]
        args = ["1", q.task_prefix, q.group_prefix, CHANNEL, "1", task_id, packed(KEEP, [], "")]
        return space.run("mend", keys, *args)[0][0]

    return act


def _nothing_more(_: Space) -> None:
    """What is in every queue here is enough."""


def _balance(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.paused]
    return space.run("balance", keys, q.group_prefix, 100, "")[7]


def _deliver(space: Space) -> Any:
    q = space.q
    keys = [q.receipt("s.0"), q.pending, q.lease, q.paused, q.waiting, q.flow]
    reply = space.run("deliver", keys, "s", 1, 5, LEASE, STAND, CHANNEL, "1", 5, q.task_prefix, again=True)
    return reply[2::4]


def _list(space: Space) -> Any:
    q = space.q
    return space.run("list", [q.retry], q.task_prefix, "", 9, 999, "-inf", "+inf", 0, "", "")[3:]


def _to_retry(space: Space) -> None:
    space.client.delete(space.q.retry)
    space.put("a", "retry")
    space.client.zadd(space.q.retry, {"a": 5})


def _list_pending(space: Space) -> Any:
    return space.run("list_pending", [space.q.pending], space.q.task_prefix, "", 9, 999, 0, 0)[3:5]


def _noted(space: Space) -> None:
    """An inspector has been here."""
    space.pending("a", unique="k")
    space.client.set(space.q.unique("k"), "a")
    space.client.set(space.q.receipt("i.1"), "1 done")


def _act(action: str, *ids: str) -> Callable[[Space], Any]:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.pending, q.scheduled, q.retry, q.archived, q.completed, q.groups, q.flow, q.waiting]
        keys += [q.receipt("i.1"), *map(q.task, ids)]
        args = [2, 60, action, "", "", "", "", 0, q.group_prefix, q.unique_prefix, CHANNEL, "1", *ids]
        return space.run("act", keys, *args)

    return act


def _delivered(space: Space) -> None:
    space.active("a", "s:1")
    space.client.set(space.q.receipt("s.0"), packed(1, 1, "a"))


def _survey(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.paused]
    # Keys that are not there at all are taken for keys on their way.
    keys += [q.base + name for name in ("waiting", "waiting", "waiting", "waiting")]
    reply = space.run("survey", keys, 100, 100, q.task_prefix, q.group_prefix)
    return [reply[1][0][6], *reply[1][4:]]


def _last(space: Space) -> None:
    space.client.rpush(space.q.pending, "a")
    space.put("a", "pending")


def _running(space: Space) -> Any:
    reply = space.run("running", [space.q.lease], "0", 100, space.q.task_prefix, 100)
    return reply[2::7]


def _weigh(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed, q.groups]
    reply = space.run("weigh", keys, 20, q.task_prefix, q.group_prefix)
    return [one[2] for one in reply[1:]]


def _remove(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.flow, q.paused, q.waiting]
    args = [1, 60, "1", 100, q.task_prefix, q.unique_prefix, q.group_prefix, CHANNEL]
    return space.run("remove", keys, *args)[:2]


CASES = [
    pytest.param(_last, _survey, "t:a", [2, "a", "", "m-a"], id="survey"),
    pytest.param(_nothing_more, _survey, "g:g", [2, "p", "", "m-p"], id="survey-group"),
    pytest.param(_nothing_more, _survey, "set", [2, "p", "", "m-p"], id="survey-aggregation-set"),
    pytest.param(_delivered, _running, "t:a", ["a", "l"], id="running"),
    pytest.param(_pending, _weigh, "t:a", [2, 1, 1, 1, 1, 1, 1], id="weigh"),
    pytest.param(_nothing_more, _weigh, "g:g", [1, 1, 1, 1, 1, 1, 1], id="weigh-group"),
    pytest.param(_pending, _remove, "t:a", ["done", 9], id="remove"),
    pytest.param(_unique, _remove, "unique:k", ["done", 9], id="remove-lock"),
    pytest.param(_nothing_more, _remove, "g:g", ["done", 8], id="remove-group"),
    pytest.param(_nothing_more, _remove, "set", ["done", 8], id="remove-aggregation-set"),
    pytest.param(_lost, _recover, "t:a", ["0", 1, "a", "pending", 1], id="recover"),
    pytest.param(_due, _forward, "t:a", 1, id="forward"),
    pytest.param(_due_in_a_group, _forward, "t:a", 1, id="forward-task-of-group"),
    pytest.param(_due_in_a_group, _forward, "g:g", 1, id="forward-group"),
    pytest.param(_over, _sweep, "t:a", [[1]], id="sweep"),
    pytest.param(_over, _sweep, "unique:k", [[1]], id="sweep-lock"),
    pytest.param(_too_old, _sweep, "t:a", [[0, "a"]], id="sweep-archived"),
    pytest.param(_unique, _unlock, "t:a", ["fine", "a"], id="unlock"),
    pytest.param(_pending, _page, "t:a", [2, ["a", "p"], []], id="page"),
    pytest.param(_scheduled, _examine("a"), "t:a", ["fine"], id="examine"),
    pytest.param(_nothing_more, _examine("y"), "g:g", ["fine"], id="examine-group"),
    pytest.param(_nothing_more, _examine("z"), "set", ["fine"], id="examine-aggregation-set"),
    pytest.param(_scheduled, _mend("a"), "t:a", "", id="mend"),
    pytest.param(_nothing_more, _mend("y"), "g:g", "", id="mend-group"),
    pytest.param(_nothing_more, _mend("z"), "set", "", id="mend-aggregation-set"),
    pytest.param(_nothing_more, _balance, "g:g", 2, id="balance"),
    pytest.param(_nothing_more, _balance, "set", 2, id="balance-aggregation-set"),
    pytest.param(_delivered, _deliver, "t:a", ["a"], id="deliver-again"),
    pytest.param(_to_retry, _list, "t:a", [["a"], ["5"], [["msg", "m-a", "state", "retry"]]], id="list"),
    pytest.param(
        _pending, _list_pending, "t:a", [["p", "a"], [["msg", "m-p"], ["msg", "m-a"]]], id="list_pending"
    ),
    pytest.param(_noted, _act("delete", "p", "a"), "unique:k", "done", id="act-lock"),
    pytest.param(_noted, _act("run", "y"), "g:g", "done", id="act-group"),
]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("arrange", "act", "late", "expected"), CASES)
def test_what_is_elsewhere_has_not_vanished(
    nodes: ClusterProcesses,
    arrange: Callable[[Space], None],
    act: Callable[[Space], Any],
    late: str,
    expected: object,
    side: Side,
) -> None:
    """The call is made again when the slot has moved, and finds all as it was.

    A task taken for gone would be lost, or come back as one that belongs nowhere; a group written on
    the wrong node would be two groups, which stops the move.
    """
    space = _Moving(nodes, arrange)
    try:
        space.begin(side, late)
        if act is _sweep:
            assert act(space) == [[0]]  # it comes back by itself
        else:
            assert _refusal(space, act).remedy is Remedy.WAIT
        space.end()
        assert space.everything() == space.before
        found = act(space)
        # The time until the next lease ends is one of the words.
        assert found[1:] == expected[1:] if act is _recover else found == expected
    finally:
        space.close()


def _refusal(space: Space, act: Callable[[Space], object]) -> ReplyError:
    """What the router would get to see."""
    with pytest.raises((ResponseError, TryAgainError)) as refused:
        act(space)
    # The library takes the first word away.
    word = "TRYAGAIN" if isinstance(refused.value, TryAgainError) else "ERR"
    return ReplyError(f"{word} {refused.value}")


@pytest.mark.parametrize(
    ("arrange", "act", "first", "then"),
    [
        pytest.param(_lost, _recover, ["0", 1, "b", "pending", 1], [1, "a", "pending", 1], id="recover"),
        pytest.param(_due, _forward, 1, 1, id="forward"),
    ],
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_what_is_there_already_is_told_at_once(
    nodes: ClusterProcesses,
    arrange: Callable[[Space], None],
    act: Callable[[Space], Any],
    first: object,
    then: object,
    side: Side,
) -> None:
    """An error instead would be silent about what has been done."""

    def arrange_two(space: Space) -> None:
        arrange(space)
        if act is _recover:
            space.active("b", "s:2", ends_in=-2)
        else:
            space.delayed("b", "retry", due_in=-1)

    space = _Moving(nodes, arrange_two)
    try:
        space.begin(side, "t:a")
        assert act(space) == first
        assert _refusal(space, act).remedy is Remedy.WAIT
        space.end()
        found = act(space)
        assert (found[1:] if act is _recover else found) == then
        assert sorted(space.everything()["pending"]) == ["a", "b", "p"]
    finally:
        space.close()
