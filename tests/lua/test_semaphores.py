"""`acquire`, `release`, `hold`, `vacancy`, `holders`: never more slots than there are, in order."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncq._wire.keys import Keys
from tests.lua.space import CHANNEL, Space, about

LEASE, STAND = 30.0, 3.0
KEYS = Keys().semaphore("s")


def acquire(
    space: Space, token: str, maximum: int = 2, *, stand: float = 0.0, again: bool = False, cluster: str = ""
) -> list[Any]:
    """Ask for a slot."""
    keys = [KEYS.holders, KEYS.queue, KEYS.standing]
    reply: list[Any] = space.run("acquire", keys, token, maximum, LEASE, stand, CHANNEL, cluster, again=again)
    return reply


def release(space: Space, *tokens: str, again: bool = False, cluster: str = "") -> int:
    """Give slots, or places among the waiters, back."""
    keys = [KEYS.holders, KEYS.queue, KEYS.standing, KEYS.parked]
    freed: int = space.run("release", keys, CHANNEL, cluster, *tokens, again=again)
    return freed


def prolong(space: Space, *tokens: str, again: bool = False) -> list[int]:
    """Go on holding slots."""
    lost: list[int] = space.run("hold", [KEYS.holders], LEASE, *tokens, again=again)
    return lost


def vacancy(space: Space, server: str = "srv", maximum: int = 2, *, stand: float = STAND) -> list[Any]:
    """Look for free slots."""
    keys = [KEYS.holders, KEYS.queue, KEYS.standing, KEYS.parked]
    reply: list[Any] = space.run("vacancy", keys, server, maximum, stand)
    return reply


def holders(space: Space, limit: int = 100) -> list[Any]:
    """Say who is there."""
    reply: list[Any] = space.run("holders", [KEYS.holders, KEYS.standing], limit)
    return reply


def hold(space: Space, token: str, *, ends_in: float = LEASE) -> None:
    """Arrange a slot that is held."""
    space.client.zadd(KEYS.holders, {token: space.now() + ends_in})


def wait(space: Space, token: str, *, came: float = 0.0, stands: float = STAND) -> None:
    """Arrange one who waits, having come so many seconds ago."""
    space.client.zadd(KEYS.queue, {token: space.now() - came})
    space.client.zadd(KEYS.standing, {token: space.now() + stands})


def state(space: Space) -> dict[str, Any]:
    """Return the keys of the semaphore by their last part; `""` is the holders."""
    found = space.everything()
    return {name.removeprefix(KEYS.holders).removeprefix(":"): value for name, value in found.items()}


# --- taking a slot ----------------------------------------------------------------------------


def test_a_slot_is_held_under_a_lease(space: Space) -> None:
    """By the clock of Redis; the key goes when the last lease is long over."""
    assert acquire(space, "a:1") == ["held", ""]
    assert state(space) == {"": {"a:1": about(space.now() + LEASE)}}
    assert LEASE < cast("int", space.client.ttl(KEYS.holders)) <= LEASE + 61


def test_no_more_slots_than_there_are(space: Space) -> None:
    """And whoever is refused learns when one gets free by itself."""
    hold(space, "a:1", ends_in=5.0)
    hold(space, "a:2", ends_in=10.0)
    before = state(space)
    word, seconds = acquire(space, "b:1")
    assert (word, float(seconds)) == ("full", about(5.0))
    assert state(space) == before


@pytest.mark.parametrize("again", [False, True])
def test_a_call_that_is_sent_again_does_not_take_a_second_slot(space: Space, *, again: bool) -> None:
    """The answer may be lost; the token says whose the slot is."""
    hold(space, "a:1", ends_in=5.0)
    hold(space, "a:2")
    assert acquire(space, "a:1", again=again) == ["held", ""]
    assert state(space) == {"": {"a:1": about(space.now() + LEASE), "a:2": about(space.now() + LEASE)}}


def test_a_slot_that_ran_out_is_free(space: Space) -> None:
    """Its holder was killed, or cut off."""
    hold(space, "dead:1", ends_in=-0.01)
    hold(space, "a:1")
    assert acquire(space, "b:1") == ["held", ""]
    assert set(state(space)[""]) == {"a:1", "b:1"}


@pytest.mark.parametrize(("maximum", "word"), [(1, "full"), (2, "full"), (3, "held")])
def test_each_goes_by_the_number_it_was_given(space: Space, maximum: int, word: str) -> None:
    """While a new number is rolled out, the old one is still in use elsewhere."""
    hold(space, "a:1")
    hold(space, "a:2")
    assert acquire(space, "b:1", maximum)[0] == word


def test_who_waits_stands_in_order(space: Space) -> None:
    """In that of the first asking, however often they ask again."""
    hold(space, "a:1")
    for token in ("b:1", "c:1", "b:1"):
        assert acquire(space, token, 1, stand=STAND)[0] == "full"
    found = state(space)
    assert list(found["queue"]) == ["b:1", "c:1"]
    assert found["standing"] == {"b:1": about(space.now() + STAND), "c:1": about(space.now() + STAND)}
    with space.listen(CHANNEL + "b"):
        release(space, "a:1")
        # There is a slot, but not for the one behind, nor for one who comes now.
        assert acquire(space, "c:1", 1, stand=STAND)[0] == "full"
        assert acquire(space, "d:1", 1)[0] == "full"
        assert acquire(space, "b:1", 1, stand=STAND)[0] == "held"
    assert list(state(space)["queue"]) == ["c:1"]


def test_one_who_waits_does_not_keep_free_slots_from_others(space: Space) -> None:
    """Three slots, one waiter: the two others may be taken."""
    wait(space, "w:1")
    assert acquire(space, "a:1", 3)[0] == "held"
    assert acquire(space, "a:2", 3)[0] == "held"
    assert acquire(space, "a:3", 3)[0] == "full"


def test_one_who_died_waiting_holds_up_nobody_for_long(space: Space) -> None:
    """It does not say any more that it stands there."""
    wait(space, "dead:1", came=10.0, stands=-0.01)
    assert acquire(space, "a:1", 1)[0] == "held"
    assert set(state(space)) == {""}


def test_one_who_died_waiting_is_found_out_when_it_is_called(space: Space) -> None:
    """Nobody hears the message, so nobody has to wait until its time is over."""
    wait(space, "dead:1", came=10.0)
    assert acquire(space, "a:1", 1)[0] == "full"
    assert acquire(space, "a:1", 1)[0] == "held"


def test_in_a_cluster_a_silent_one_keeps_its_place(space: Space) -> None:
    """A node does not know who listens at another one."""
    wait(space, "far:1", came=10.0)
    for _ in range(2):
        assert acquire(space, "a:1", 1, cluster="1")[0] == "full"
    assert "far:1" in state(space)["queue"]


def test_who_has_waited_enough_leaves(space: Space) -> None:
    """The last question leaves no place behind."""
    hold(space, "a:1")
    wait(space, "b:1")
    assert acquire(space, "b:1", 1, stand=0.0)[0] == "full"
    assert set(state(space)) == {""}


# --- giving it back ---------------------------------------------------------------------------


def test_a_slot_is_given_back_and_the_next_one_is_called(space: Space) -> None:
    """One slot, one call: the others go on sleeping."""
    hold(space, "a:1")
    hold(space, "a:2")
    wait(space, "b:1", came=2.0)
    wait(space, "c:7", came=1.0)
    with space.listen(CHANNEL + "b", CHANNEL + "c") as ear:
        assert release(space, "a:1") == 1
        assert ear.heard() == [(CHANNEL + "b", "slot b:1")]
    found = state(space)
    assert set(found[""]) == {"a:2"}
    assert list(found["queue"]) == ["b:1", "c:7"]  # they leave it by taking the slot


def test_the_dead_are_passed_over(space: Space) -> None:
    """Nobody hears them being called."""
    hold(space, "a:1")
    wait(space, "dead:1", came=2.0)
    wait(space, "b:1", came=1.0)
    with space.listen(CHANNEL + "b") as ear:
        assert release(space, "a:1") == 1
        assert ear.heard() == [(CHANNEL + "b", "slot b:1")]
    assert list(state(space)["queue"]) == ["b:1"]


def test_a_waiter_that_leaves_passes_the_call_on(space: Space) -> None:
    """It may have been called a moment ago, and then nobody else was."""
    wait(space, "b:1", came=2.0)
    wait(space, "c:1", came=1.0)
    with space.listen(CHANNEL + "c") as ear:
        assert release(space, "b:1") == 0
        assert ear.heard() == [(CHANNEL + "c", "slot c:1")]


def test_a_server_with_tasks_is_called_when_nobody_waits(space: Space) -> None:
    """The one that has not been called for longest; those who are gone are passed over."""
    hold(space, "a:1")
    hold(space, "a:2")
    now = space.now()
    space.client.zadd(KEYS.parked, {"gone": now - 1, "deaf": now + 1, "s": now + 2, "t": now + 3})
    with space.listen(CHANNEL + "s", CHANNEL + "t") as ear:
        assert release(space, "a:1") == 1
        assert ear.heard() == [(CHANNEL + "s", f"room {KEYS.holders}")]
        wait(space, "s:1")
        assert release(space, "a:2") == 1
        assert ear.heard() == [(CHANNEL + "s", "slot s:1")]
    assert set(state(space)["parked"]) == {"t"}


def test_giving_back_what_is_not_held_calls_nobody(space: Space) -> None:
    """Twice given back, or lost before that: somebody else has it."""
    hold(space, "b:1")
    wait(space, "c:1")
    before = state(space)
    with space.listen(CHANNEL + "c") as ear:
        assert release(space, "a:1", again=True) == 0
        assert ear.heard() == []
    assert state(space) == before


# --- going on holding it ------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
def test_a_slot_is_prolonged_from_now(space: Space, *, again: bool) -> None:
    """Also one that ran out, as long as nobody has cleared it away."""
    hold(space, "a:1", ends_in=1.0)
    hold(space, "a:2", ends_in=-5.0)
    assert prolong(space, "a:1", "a:2", again=again) == []
    assert state(space)[""] == {token: about(space.now() + LEASE) for token in ("a:1", "a:2")}


def test_what_is_gone_is_told_and_not_taken_again(space: Space) -> None:
    """Its holder may have given it back a moment ago, from another thread."""
    hold(space, "a:2")
    assert prolong(space, "a:1", "a:2", "a:3") == [1, 3]
    assert set(state(space)[""]) == {"a:2"}


# --- looking --------------------------------------------------------------------------------------


def test_a_server_learns_of_free_slots_and_asks_to_be_told(space: Space) -> None:
    """Those for whom somebody waits are not free."""
    hold(space, "a:1", ends_in=5.0)
    hold(space, "dead:1", ends_in=-1.0)
    wait(space, "w:1")
    free, seconds = vacancy(space, maximum=4)
    assert (free, float(seconds)) == (2, about(5.0))
    assert state(space)["parked"] == {"srv": about(space.now() + STAND)}
    assert vacancy(space, maximum=1)[0] == 0
    assert vacancy(space, stand=0.0)[0] == 0
    assert "parked" not in state(space)


def test_the_holders_are_those_whose_lease_is_not_over(space: Space) -> None:
    """For who wants to know what is going on; nothing is changed by looking."""
    hold(space, "a:1", ends_in=5.0)
    hold(space, "b:1", ends_in=9.0)
    hold(space, "dead:1", ends_in=-1.0)
    wait(space, "w:1")
    wait(space, "dead:2", stands=-1.0)
    before = state(space)
    held, waiting, *named = holders(space)
    assert (held, waiting) == (2, 1)
    assert named[::2] == ["a:1", "b:1"]
    assert [float(seconds) for seconds in named[1::2]] == [about(5.0), about(9.0)]
    assert holders(space, 1)[2::2] == ["a:1"]
    assert state(space) == before


def test_of_nothing_there_is_nothing_to_say(space: Space) -> None:
    """A semaphore that nobody uses does not exist."""
    assert holders(space) == [0, 0]
    assert vacancy(space, stand=0.0) == [2, ""]
    assert prolong(space) == []
    assert release(space, "a:1") == 0
    assert state(space) == {}
