"""A slot on its way to another node of a cluster: what has not been found has not vanished.

Its keys are on two nodes meanwhile. A script does not begin while the keys that it declares are
in two places; but those whose names it reads may still be elsewhere. They give an error on the node
that they have left, and nothing at all on the node that they have not reached.
"""

from __future__ import annotations

from typing import Any

import pytest

from asyncq._redis.failures import Remedy
from tests.lua import calls
from tests.lua.calls import Act
from tests.lua.moving import Moving, Side, refusal
from tests.lua.scenes import Arrange
from tests.lua.space import Space, packed
from tests.support.cluster import ClusterProcesses

pytestmark = pytest.mark.cluster


def _lost(space: Space) -> None:
    space.active("a", "s:1", ends_in=-1)


def _due(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=-1)


def _due_in_a_group(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=-1, group="g")


def _over(space: Space) -> None:
    space.delayed("a", "completed", due_in=-10, unique="k")
    space.client.set(space.q.unique("k"), "a")


def _too_old(space: Space) -> None:
    space.delayed("a", "archived", due_in=-1000)


def _unique(space: Space) -> None:
    space.pending("a", unique="k")
    space.client.set(space.q.unique("k"), "a")


def _unlock(space: Space) -> Any:
    return space.run("unlock", [space.q.unique("k")], "1", space.q.task_prefix, "k", "")


def _balance(space: Space) -> Any:
    return calls.balance(space, "")[7]


def _deliver(space: Space) -> Any:
    return calls.deliver(space, again=True)


def _mend(task_id: str) -> Act:
    def act(space: Space) -> Any:
        return calls.mend(task_id)(space)[0]

    return act


def _remove(space: Space) -> Any:
    return calls.remove(space, 100, space.q.waiting)[:2]


def _pending(space: Space) -> None:
    space.pending("a")


def _page(space: Space) -> Any:
    return space.run("page", [space.q.pending], 0, -1, space.q.task_prefix)


def _scheduled(space: Space) -> None:
    space.delayed("a", "scheduled", due_in=100)


def _examine(*ids: str) -> Act:
    def act(space: Space) -> Any:
        q = space.q
        keys = [q.lease, q.scheduled, q.retry, q.archived, q.completed, q.aggregation_sets]
        return space.run("examine", keys, q.task_prefix, q.group_prefix, "", 0, *ids)[::3]

    return act


def _nothing_more(_: Space) -> None:
    """What is in every queue here is enough."""


def _list(space: Space) -> Any:
    q = space.q
    return space.run("list", [q.retry], q.task_prefix, "", 9, 999, "-inf", "+inf", 0, "", "")[3:6]


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


def _delivered(space: Space) -> None:
    space.active("a", "s:1")
    space.client.set(space.q.receipt("s.0"), packed(1, 1, "a"))


def _survey(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    keys += [q.groups, q.aggregation_sets, q.paused]
    # Keys that are not there at all are taken for keys on their way.
    keys += [q.base + name for name in ("waiting", "waiting", "waiting", "waiting", "flow")]
    reply = space.run("survey", keys, 100, 100, q.task_prefix, q.group_prefix)
    return [int(reply[1][0].split()[6]), *reply[1][2:]]


def _sizes(space: Space) -> Any:
    q = space.q
    keys = [q.pending, q.lease, q.scheduled, q.retry, q.archived, q.completed]
    return space.run("sizes", [*keys, q.groups, q.aggregation_sets, q.flow], 100, q.group_prefix)[0].split()[
        6
    ]


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


CASES = [
    pytest.param(_last, _survey, "t:a", [2, "a", "", "m-a"], id="survey"),
    pytest.param(_nothing_more, _survey, "g:g", [2, "p", "", "m-p"], id="survey-group"),
    pytest.param(_nothing_more, _survey, "set", [2, "p", "", "m-p"], id="survey-aggregation-set"),
    pytest.param(_nothing_more, _sizes, "g:g", "2", id="sizes-group"),
    pytest.param(_nothing_more, _sizes, "set", "2", id="sizes-aggregation-set"),
    pytest.param(_delivered, _running, "t:a", ["a", "l"], id="running"),
    pytest.param(_pending, _weigh, "t:a", [2, 1, 1, 1, 1, 1, 1], id="weigh"),
    pytest.param(_nothing_more, _weigh, "g:g", [1, 1, 1, 1, 1, 1, 1], id="weigh-group"),
    pytest.param(_pending, _remove, "t:a", ["done", 9], id="remove"),
    pytest.param(_unique, _remove, "unique:k", ["done", 9], id="remove-lock"),
    pytest.param(_nothing_more, _remove, "g:g", ["done", 8], id="remove-group"),
    pytest.param(_nothing_more, _remove, "set", ["done", 8], id="remove-aggregation-set"),
    pytest.param(_lost, calls.recover, "t:a", ["0", 1, "a", "pending", 1], id="recover"),
    pytest.param(_due, calls.forward, "t:a", 1, id="forward"),
    pytest.param(_due_in_a_group, calls.forward, "t:a", 1, id="forward-task-of-group"),
    pytest.param(_due_in_a_group, calls.forward, "g:g", 1, id="forward-group"),
    pytest.param(_over, calls.sweep, "t:a", [[1]], id="sweep"),
    pytest.param(_over, calls.sweep, "unique:k", [[1]], id="sweep-lock"),
    pytest.param(_too_old, calls.sweep, "t:a", [[0, "a"]], id="sweep-archived"),
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
    pytest.param(_noted, calls.act("delete", "p", "a"), "unique:k", "done", id="act-lock"),
    pytest.param(_noted, calls.act("run", "y"), "g:g", "done", id="act-group"),
]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("arrange", "act", "late", "expected"), CASES)
def test_what_is_elsewhere_has_not_vanished(
    nodes: ClusterProcesses,
    arrange: Arrange,
    act: Act,
    late: str,
    expected: object,
    side: Side,
) -> None:
    """The call is made again when the slot has moved, and finds all as it was.

    A task taken for gone would be lost, or come back as one that belongs nowhere; a group written on
    the wrong node would be two groups, which stops the move.
    """
    with Moving(nodes, arrange) as space:
        space.begin(side, late)
        if act is calls.sweep:
            assert act(space) == [[0]]  # it comes back by itself
        else:
            assert refusal(space, act).remedy is Remedy.WAIT
        space.end()
        assert space.everything() == space.before
        found = act(space)
        # The time until the next lease ends is one of the words.
        assert found[1:] == expected[1:] if act is calls.recover else found == expected


@pytest.mark.parametrize(
    ("arrange", "act", "first", "then"),
    [
        pytest.param(_lost, calls.recover, ["0", 1, "b", "pending", 1], [1, "a", "pending", 1], id="recover"),
        pytest.param(_due, calls.forward, 1, 1, id="forward"),
    ],
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_what_is_there_already_is_told_at_once(
    nodes: ClusterProcesses,
    arrange: Arrange,
    act: Act,
    first: object,
    then: object,
    side: Side,
) -> None:
    """An error instead would be silent about what has been done."""

    def arrange_two(space: Space) -> None:
        arrange(space)
        if act is calls.recover:
            space.active("b", "s:2", ends_in=-2)
        else:
            space.delayed("b", "retry", due_in=-1)

    with Moving(nodes, arrange_two) as space:
        space.begin(side, "t:a")
        assert act(space) == first
        assert refusal(space, act).remedy is Remedy.WAIT
        space.end()
        found = act(space)
        assert (found[1:] if act is calls.recover else found) == then
        assert sorted(space.everything()["pending"]) == ["a", "b", "p"]
