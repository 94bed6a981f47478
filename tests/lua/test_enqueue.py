"""`enqueue`: each word it answers, and what is in Redis for it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError

from asyncq._wire.keys import QueueKeys
from tests.lua.space import CHANNEL, NEWS, Space, about, packed
from tests.support.servers import RedisOptions, RedisProcess

_DETAIL = {"at": 0.0, "delay": 0.0, "lock": 0.0, "suffix": "", "group": ""}


def _detail(**given: object) -> bytes:
    return packed(*{**_DETAIL, **given}.values())


def _head(keys: QueueKeys, client: str = "c") -> list[str]:
    return [keys.pending, keys.scheduled, keys.groups, keys.flow, keys.waiting, keys.receipt(client)]


def _enqueue(
    space: Space,
    *tasks: tuple[Any, ...],
    number: int = 1,
    client: str = "c",
    again: bool = False,
    in_cluster: str = "",
) -> Any:
    """Each task: id, message, and perhaps its detail and the lock's and the group's name."""
    keys = _head(space.q, client)
    args: list[object] = [number, 600, CHANNEL, NEWS, in_cluster, space.q.task_prefix, 0]
    for task_id, message, detail, *extra in tasks:
        keys += [space.q.task(task_id), *extra]
        args += [message, detail]
    words, now, _ = space.run("enqueue", keys, *args, again=again)
    assert float(now) == about(space.now())
    return words


def _lock(space: Space, suffix: str = "u") -> str:
    return space.q.unique(suffix)


def _group(space: Space, name: str = "g") -> tuple[str, str]:
    return space.q.group(name), space.q.gathering


def test_a_plain_task_is_pending(space: Space) -> None:
    """One field and one list item: without a `state` a task is pending, and small."""
    assert _enqueue(space, ("a", "m", b"")) == "pending"
    assert space.everything() == {
        "pending": ["a"],
        "t:a": {"msg": "m"},
        "flow": {"created": "1"},
        "receipt:c": "1 pending",
    }


def test_tasks_of_one_call_keep_their_order(space: Space) -> None:
    """Pushed left and popped right: the first enqueued is the first taken."""
    assert _enqueue(space, ("a", "m", b""), ("b", "m", b""), ("c", "m", b"")) == "pending"
    assert space.everything()["pending"] == ["c", "b", "a"]


def test_the_largest_call_goes_in_whole(space: Space) -> None:
    """500 tasks are what one call may carry."""
    tasks = [(f"t{number}", "m", b"") for number in range(500)]
    assert _enqueue(space, *tasks) == "pending"
    assert space.client.llen(space.q.pending) == 500
    assert space.everything()["flow"] == {"created": "500"}


def test_words_differ_only_where_outcomes_do(space: Space) -> None:
    """One word for all saves bytes; as soon as one differs each task gets its own."""
    space.pending("b")
    assert (
        _enqueue(space, ("a", "m", b""), ("b", "other", b""), ("c", "m", b"")) == "pending,conflict,pending"
    )
    assert space.everything()["flow"] == {"created": "2"}


@pytest.mark.parametrize(("message", "word"), [("m-a", "already"), ("m-b", "conflict")])
@pytest.mark.parametrize("detail", [b"", _detail(delay=60.0)])
def test_an_id_that_exists_is_the_same_task_or_a_conflict(
    space: Space, message: str, word: str, detail: bytes
) -> None:
    """The message carries a nonce, so "the same" means sent by the same call."""
    space.pending("a")
    before = space.everything()
    assert _enqueue(space, ("a", message, detail)) == word
    assert space.everything() == before | {"receipt:c": f"1 {word}"}


def test_a_relative_delay_counts_from_the_clock_of_redis(space: Space) -> None:
    """A client with a wrong clock must not move the due time."""
    assert _enqueue(space, ("a", "m", _detail(delay=60.0))) == "scheduled"
    assert space.everything(without=("receipt",)) == {
        "scheduled": {"a": about(space.now() + 60)},
        "t:a": {"msg": "m", "state": "scheduled"},
        "flow": {"created": "1"},
    }


def test_an_instant_is_kept_to_the_fraction(space: Space) -> None:
    """Milliseconds matter to what is due in milliseconds."""
    due = round(space.now() + 60, 3) + 0.0005
    assert _enqueue(space, ("a", "m", _detail(at=due))) == "scheduled"
    assert space.everything()["scheduled"] == {"a": pytest.approx(due, abs=0.0001)}


@pytest.mark.parametrize("seconds_ago", [0.0, 1.0, 1e9])
def test_an_instant_that_has_passed_is_now(space: Space, seconds_ago: float) -> None:
    """It must not wait for a forwarder."""
    assert _enqueue(space, ("a", "m", _detail(at=space.now() - seconds_ago))) == "pending"
    assert space.everything()["pending"] == ["a"]


@pytest.mark.parametrize(
    ("detail", "heard"),
    [
        (_detail(delay=10.0), [(NEWS, "due")]),
        (_detail(delay=100.0), []),
        (b"", []),
    ],
)
def test_servers_hear_of_what_is_due_before_all_else(
    space: Space, detail: bytes, heard: list[tuple[str, str]]
) -> None:
    """They sleep until the next due time they know; later ones need no message."""
    space.delayed("first", "scheduled", due_in=50.0)
    with space.listen(NEWS) as ear:
        _enqueue(space, ("a", "m", detail))
        assert ear.heard() == heard


def test_a_lock_is_taken_with_its_time(space: Space) -> None:
    """The lock holds the owner's id, so that only the owner releases it."""
    assert _enqueue(space, ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space))) == "pending"
    assert space.everything(without=("receipt",)) == {
        "pending": ["a"],
        "t:a": {"msg": "m", "unique": "u"},
        "unique:u": "a",
        "flow": {"created": "1"},
    }
    assert 55_000 < space.client.pttl(_lock(space)) <= 60_000


def test_the_lock_of_a_delayed_task_counts_from_its_due_time(space: Space) -> None:
    """Otherwise it would be gone before the task runs."""
    _enqueue(space, ("a", "m", _detail(delay=100.0, lock=60.0, suffix="u"), _lock(space)))
    assert 155_000 < space.client.pttl(_lock(space)) <= 160_000


def test_the_shortest_lock_is_one_redis_accepts(space: Space) -> None:
    """Expiry counts in milliseconds, and Redis refuses zero."""
    assert _enqueue(space, ("a", "m", _detail(lock=0.0001, suffix="u"), _lock(space))) == "pending"


def test_a_held_lock_refuses(space: Space) -> None:
    """Also within one call."""
    first = ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space))
    second = ("b", "n", _detail(lock=60.0, suffix="u"), _lock(space))
    assert _enqueue(space, first, second) == "pending,duplicate"
    before = space.everything()
    assert _enqueue(space, ("c", "n", second[2], _lock(space)), number=2) == "duplicate"
    assert space.everything() == before | {"receipt:c": "2 duplicate"}


def test_a_lock_whose_owner_is_gone_holds_nobody_up(space: Space) -> None:
    """Somebody deleted the task by hand, and the lock has a day to go."""
    space.client.set(_lock(space), "gone", ex=86400)
    assert _enqueue(space, ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space))) == "pending"
    assert space.everything()["unique:u"] == "a"
    assert space.client.ttl(_lock(space)) <= 60


@pytest.mark.parametrize("fields", [{}, {"unique": "other"}])
def test_a_lock_whose_owner_does_not_know_of_it_holds_nobody_up(space: Space, fields: dict[str, str]) -> None:
    """The owner went without its lock, and its id was given to another task."""
    space.pending("owner", **fields)
    space.client.set(_lock(space), "owner", ex=86400)
    assert _enqueue(space, ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space))) == "pending"
    assert space.everything()["unique:u"] == "a"


def test_a_conflict_takes_no_lock(space: Space) -> None:
    """A lock without a task would block what comes later."""
    space.pending("a")
    assert _enqueue(space, ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space))) == "conflict"
    assert "unique:u" not in space.everything()


def test_a_grouped_task_waits_in_its_group(space: Space) -> None:
    """Until it is aggregated."""
    assert _enqueue(space, ("a", "m", _detail(group="g"), *_group(space))) == "aggregating"
    assert space.everything(without=("receipt",)) == {
        "g:g": {"a": about(space.now())},
        "groups": {"g"},
        "t:a": {"msg": "m", "state": "aggregating", "group": "g"},
        "flow": {"created": "1"},
    }


def test_a_delayed_grouped_task_is_scheduled_first(space: Space) -> None:
    """The forwarder finds the group in the hash."""
    assert _enqueue(space, ("a", "m", _detail(delay=60.0, group="g"), *_group(space))) == "scheduled"
    assert space.everything(without=("receipt",)) == {
        "scheduled": {"a": about(space.now() + 60)},
        "t:a": {"msg": "m", "state": "scheduled", "group": "g"},
        "flow": {"created": "1"},
    }


def test_aggregators_hear_of_the_first_task_of_a_group_and_of_a_full_one(space: Space) -> None:
    """They sleep until a group is ripe; they cannot know of those that are not there yet."""
    space.client.set(space.q.gathering, "3")
    with space.listen(NEWS) as ear:
        for number, heard in enumerate([1, 0, 1, 0, 0, 1], 1):
            task = (f"t{number}", "m", _detail(group="g"), *_group(space))
            assert _enqueue(space, task, number=number) == "aggregating"
            assert ear.heard() == [(NEWS, "groups")] * heard, number


def test_groups_may_be_full_at_several_sizes(space: Space) -> None:
    """Servers may say different ones for different groups; they know which is meant."""
    space.client.set(space.q.gathering, "3 4")
    with space.listen(NEWS) as ear:
        for number, heard in enumerate([1, 0, 1, 1, 0, 1, 0, 1], 1):
            task = (f"t{number}", "m", _detail(group="g"), *_group(space))
            assert _enqueue(space, task, number=number) == "aggregating"
            assert ear.heard() == [(NEWS, "groups")] * heard, number


def test_many_tasks_of_one_call_are_one_piece_of_news(space: Space) -> None:
    """Each message goes to every server."""
    space.client.set(space.q.gathering, "2")
    with space.listen(NEWS) as ear:
        _enqueue(space, *((f"t{number}", "m", _detail(group="g"), *_group(space)) for number in range(9)))
        assert ear.heard() == [(NEWS, "groups")]


@pytest.mark.parametrize("gathering", ["", "many", "0"])
def test_nonsense_about_full_groups_does_no_harm(space: Space, gathering: str) -> None:
    """Somebody wrote there by hand."""
    space.client.set(space.q.gathering, gathering)
    assert _enqueue(space, ("a", "m", _detail(group="g"), *_group(space))) == "aggregating"


@pytest.mark.parametrize("gathering", [None, "wrong type"])
def test_without_an_aggregator_nobody_is_told(space: Space, gathering: str | None) -> None:
    """Tasks wait in their groups until there is one."""
    if gathering:
        space.client.rpush(space.q.gathering, gathering)
    with space.listen(NEWS) as ear:
        assert _enqueue(space, ("a", "m", _detail(group="g"), *_group(space))) == "aggregating"
        assert ear.heard() == []


def test_keys_of_a_mixed_call_stay_with_their_tasks(space: Space) -> None:
    """Locks and groups are keys between those of the tasks: one too few and all after it are wrong."""
    words = _enqueue(
        space,
        ("a", "m", _detail(lock=60.0, suffix="u"), _lock(space)),
        ("b", "m", b""),
        ("c", "m", _detail(lock=60.0, suffix="u"), _lock(space)),
        ("d", "m", _detail(lock=60.0, suffix="v", group="g"), _lock(space, "v"), *_group(space)),
        ("e", "m", _detail(delay=60.0)),
        ("f", "m", b""),
    )
    assert words == "pending,pending,duplicate,aggregating,scheduled,pending"
    found = space.everything(without=("receipt",))
    assert {name for name in found if name.startswith("t:")} == {"t:a", "t:b", "t:d", "t:e", "t:f"}
    assert found["pending"] == ["f", "b", "a"]
    assert (found["unique:u"], found["unique:v"]) == ("a", "d")
    assert found["flow"] == {"created": "5"}


# -- sent again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [True, False])
def test_the_same_call_sent_again_answers_the_same_and_does_nothing(space: Space, *, again: bool) -> None:
    """Its first answer was lost. Meanwhile a server may have taken, and finished, the task."""
    _enqueue(space, ("a", "m", b""), ("b", "m", _detail(delay=60.0)))
    space.client.delete(space.q.task("a"), space.q.pending)
    before = space.everything()
    assert (
        _enqueue(space, ("a", "m", b""), ("b", "m", _detail(delay=60.0)), again=again) == "pending,scheduled"
    )
    assert space.everything() == before


def test_a_first_sending_that_comes_after_the_next_call_is_late(space: Space) -> None:
    """It waited in the buffer of a server that was frozen, and nobody waits for its answer."""
    _enqueue(space, ("b", "m", b""), number=2)
    before = space.everything()
    assert _enqueue(space, ("a", "m", b""), number=1) == "late"
    assert space.everything() == before


def test_clients_do_not_share_receipts(space: Space) -> None:
    """Each counts its own calls."""
    _enqueue(space, ("a", "m", b""), number=7, client="one")
    assert _enqueue(space, ("b", "m", b""), number=1, client="two") == "pending"
    assert space.everything()["pending"] == ["b", "a"]


def test_the_receipt_does_not_stay_for_ever(space: Space) -> None:
    """Clients come and go; a key for each would pile up."""
    _enqueue(space, ("a", "m", b""))
    assert 0 < space.client.ttl(space.q.receipt("c")) <= 600


# -- waking ---------------------------------------------------------------------------------------


def _stand(space: Space, *servers: str, until_in: float = 10.0) -> None:
    for position, server in enumerate(servers):
        space.client.zadd(space.q.waiting, {server: space.now() + until_in + position / 1000})


def test_one_server_is_woken_for_each_task(space: Space) -> None:
    """And the newest first; the message says which queue to ask."""
    _stand(space, "s1", "s2", "s3")
    with space.listen(*(CHANNEL + name for name in ("s1", "s2", "s3"))) as ear:
        _enqueue(space, ("a", "m", b""), ("b", "m", b""))
        assert ear.heard() == [(CHANNEL + "s3", space.q.waiting), (CHANNEL + "s2", space.q.waiting)]
    assert set(space.everything()["waiting"]) == {"s1"}


def test_a_server_that_does_not_hear_is_passed_over(space: Space) -> None:
    """It died while it stood there; the next one gets the task."""
    _stand(space, "alive", "dead")
    with space.listen(CHANNEL + "alive") as ear:
        _enqueue(space, ("a", "m", b""))
        assert ear.heard() == [(CHANNEL + "alive", space.q.waiting)]
    assert "waiting" not in space.everything()


def test_in_a_cluster_the_newest_is_trusted(space: Space) -> None:
    """A node does not know who listens at another."""
    _stand(space, "alive", "unheard")
    with space.listen(CHANNEL + "alive") as ear:
        _enqueue(space, ("a", "m", b""), in_cluster="1")
        assert ear.heard() == []
    assert set(space.everything()["waiting"]) == {"alive"}


def test_whoever_stood_there_too_long_is_forgotten(space: Space) -> None:
    """If the newest is over its time, so are all."""
    _stand(space, "s1", "s2", until_in=-10.0)
    with space.listen(CHANNEL + "s1", CHANNEL + "s2") as ear:
        _enqueue(space, ("a", "m", b""))
        assert ear.heard() == []
    assert "waiting" not in space.everything()


def test_nobody_is_woken_for_what_is_not_ready(space: Space) -> None:
    """A scheduled task is the forwarder's business."""
    _stand(space, "s1")
    with space.listen(CHANNEL + "s1") as ear:
        _enqueue(space, ("a", "m", _detail(delay=60.0)))
        assert ear.heard() == []
    assert set(space.everything()["waiting"]) == {"s1"}


@pytest.mark.parametrize("detail", [b"", _detail(delay=60.0)])
def test_an_id_that_is_something_else_spoils_no_other(space: Space, detail: bytes) -> None:
    """Whoever stands before it in the call is not left with a hash that is in no place."""
    space.client.set(space.q.task("b"), "by hand")
    assert _enqueue(space, ("a", "m", detail), ("b", "m", detail), ("c", "m", detail)) in (
        "pending,unusable,pending",
        "scheduled,unusable,scheduled",
    )
    found = space.everything()
    assert set(found["scheduled" if detail else "pending"]) == {"a", "c"}
    assert found["t:b"] == "by hand"
    assert found["flow"] == {"created": "2"}


def test_a_full_redis_refuses_the_whole_call() -> None:
    """And not the half of it: no hash without a place, no lock without an owner."""
    options = RedisOptions(extra={"maxmemory-policy": "noeviction"})
    with RedisProcess(options) as process, process.client() as client:
        space = Space(client)
        client.config_set("maxmemory", "1")
        with pytest.raises(OutOfMemoryError):
            _enqueue(space, ("a", "m", b""), ("b", "m", _detail(lock=60.0, suffix="u"), _lock(space)))
        client.config_set("maxmemory", "0")
        assert space.everything() == {}
