"""`claim_take`, `claim_renew`, `claim_finish`, `claim_drop`: one of several copies is handled."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncq._wire.keys import Keys
from tests.lua.space import Space

KEYS = Keys().claim("0d3403d7e31d8a65fad68a947fdf2c13")
BOTH = [KEYS.lock, KEYS.story]
MINE, YOURS, GO = "asyncq:lease:mine", "asyncq:lease:yours", "a1B2c3D4e5F6g7H8"
LEASE, REMEMBER, KEEP = 9_000, 86_400, 3_600_500


def _ms(space: Space, ahead: int = LEASE) -> int:
    return int(space.now() * 1000) + ahead


def take(
    space: Space,
    lease: str = MINE,
    *,
    ahead: int = LEASE,
    longest: int = LEASE,
    limit: int = 0,
    remember: int = REMEMBER,
    anew: str = "",
    again: bool = False,
) -> tuple[str, int, str]:
    """Ask for the claim: word, number, and whether it was begun."""
    until = _ms(space, ahead)
    reply: list[Any] = space.run(
        "claim_take", BOTH, lease, until, longest, limit, remember, anew, again=again
    )
    assert abs(reply[1] - _ms(space, 0)) < 5_000
    return reply[0], reply[2], reply[3]


def renew(space: Space, lease: str = MINE, *, ahead: int = LEASE) -> str:
    """Prolong the claim."""
    reply: list[Any] = space.run("claim_renew", BOTH, lease, _ms(space, ahead), LEASE, REMEMBER)
    return cast("str", reply[0])


def finish(space: Space, mark: str = "asyncq:done:mine") -> str:
    """Say that it is done."""
    return cast("str", space.run("claim_finish", BOTH, mark, KEEP))


def drop(space: Space, lease: str = MINE, failed: str = "1", *, again: bool = False) -> int:
    """Give the claim back."""
    return cast("int", space.run("claim_drop", BOTH, lease, failed, REMEMBER, again=again))


def lock(space: Space) -> str | None:
    """What the lock holds."""
    found = cast("bytes | None", space.client.get(KEYS.lock))
    return None if found is None else found.decode()


def story(space: Space) -> dict[str, str]:
    """What is remembered."""
    found = cast("dict[bytes, bytes]", space.client.hgetall(KEYS.story))
    return {name.decode(): value.decode() for name, value in found.items()}


def left(space: Space, key: str = KEYS.lock) -> int:
    """Milliseconds that a key has to live."""
    return cast("int", space.client.pttl(key))


def test_a_free_claim_is_taken_until_an_instant(space: Space) -> None:
    """And that somebody began is remembered for longer than the lease."""
    assert take(space) == ("taken", 0, "")
    assert lock(space) == MINE
    assert LEASE - 2_000 < left(space) <= LEASE
    assert story(space) == {"begun_by": MINE}
    assert left(space, KEYS.story) > (REMEMBER - 60) * 1000


def test_what_is_not_to_be_noted_leaves_no_story(space: Space) -> None:
    """A message that is about to be discarded is not begun by that."""
    assert take(space, remember=0) == ("taken", 0, "")
    assert story(space) == {}


def test_somebody_had_it_before(space: Space) -> None:
    """Its lease is over: a crash."""
    space.client.hset(KEYS.story, "begun_by", YOURS)
    assert take(space) == ("taken", 0, "1")


def test_a_call_that_is_sent_again_takes_the_same_claim(space: Space) -> None:
    """Its answer was lost."""
    take(space)
    word, number, _ = take(space, again=True)
    assert (word, number, lock(space)) == ("taken", 0, MINE)


@pytest.mark.parametrize(
    ("found", "word"), [(YOURS, "held"), ("asyncq:done:x", "done"), (GO, "done"), ("", "done")]
)
def test_a_claim_of_somebody_else_is_left_alone(space: Space, found: str, word: str) -> None:
    """A lease may end; anything else, such as the lock of a consumer in Go, is for good."""
    space.client.set(KEYS.lock, found, px=5_000)
    said, number, _ = take(space)
    assert said == word
    assert 3_000 < number <= 5_000
    assert lock(space) == found
    assert story(space) == {}


@pytest.mark.parametrize("ahead", [0, -1, -(10**12)])
def test_a_call_that_comes_too_late_leaves_nothing(space: Space, ahead: int) -> None:
    """Whoever sent it has given up, and the copy may be with others."""
    assert take(space, ahead=ahead) == ("late", 0, "")
    assert space.everything() == {}


def test_a_clock_that_was_put_back_makes_no_lease_longer(space: Space) -> None:
    """The caller knows an older time of it."""
    assert take(space, ahead=3_600_000) == ("taken", 0, "")
    assert left(space) <= LEASE
    assert take(space, YOURS, longest=-1)[0] == "held"


def test_what_failed_too_often_is_not_taken(space: Space) -> None:
    """It is to be buried."""
    space.client.hset(KEYS.story, "failures", 3)
    assert take(space, limit=3) == ("spent", 3, "1")
    assert lock(space) is None
    assert take(space, limit=4)[:2] == ("taken", 3)


def test_what_was_buried_and_kicked_begins_anew(space: Space) -> None:
    """An operator wants it tried again."""
    space.client.hset(KEYS.story, mapping={"failures": 3, "failed_by": YOURS})
    assert take(space, limit=3, anew="1")[:2] == ("taken", 0)
    assert story(space) == {"begun_by": MINE, "failed_by": YOURS}


def test_a_claim_is_prolonged(space: Space) -> None:
    """By its holder."""
    take(space, ahead=3_000)
    assert renew(space) == "renewed"
    assert left(space) > LEASE - 2_000


def test_a_claim_that_nobody_took_meanwhile_is_prolonged(space: Space) -> None:
    """Redis may have been restarted, empty."""
    assert renew(space) == "renewed"
    assert lock(space) == MINE


@pytest.mark.parametrize("found", [YOURS, "asyncq:done:x", GO])
def test_a_claim_that_is_lost_is_not_prolonged(space: Space, found: str) -> None:
    """Somebody else began as ours was over."""
    space.client.set(KEYS.lock, found)
    assert renew(space) == "lost"
    assert lock(space) == found


def test_a_prolongation_that_comes_too_late_does_nothing(space: Space) -> None:
    """As with taking."""
    take(space, ahead=3_000)
    assert renew(space, ahead=-1) == "late"
    assert left(space) <= 3_000


@pytest.mark.parametrize("found", [None, MINE, YOURS, "asyncq:done:other"])
def test_what_is_done_is_done_for_an_hour(space: Space, found: str | None) -> None:
    """Whoever has the claim by then; and what was known of it is forgotten."""
    space.client.hset(KEYS.story, mapping={"failures": 1, "begun_by": MINE})
    if found is not None:
        space.client.set(KEYS.lock, found, px=1_000)
    assert finish(space) == "done"
    assert lock(space) == "asyncq:done:mine"
    assert KEEP - 5_000 < left(space) <= KEEP
    assert story(space) == {}


def test_the_lock_of_go_stays(space: Space) -> None:
    """It says the same."""
    space.client.set(KEYS.lock, GO, px=5_000)
    assert finish(space) == "done"
    assert lock(space) == GO


@pytest.mark.parametrize("again", [False, True])
def test_a_failure_is_counted_once(space: Space, *, again: bool) -> None:
    """However often it is sent."""
    take(space)
    assert drop(space) == 1
    assert drop(space, again=again) == 1
    assert lock(space) is None
    assert story(space) == {"begun_by": MINE, "failures": "1", "failed_by": MINE}
    assert take(space, YOURS) == ("taken", 1, "1")
    assert drop(space, YOURS) == 2


def test_what_is_given_back_did_not_fail(space: Space) -> None:
    """Its consumer had to leave."""
    take(space)
    assert drop(space, failed="") == 0
    assert lock(space) is None
    assert story(space) == {"begun_by": MINE}


def test_a_claim_of_somebody_else_is_not_given_back(space: Space) -> None:
    """Ours was over; that it failed counts all the same."""
    space.client.set(KEYS.lock, YOURS)
    assert drop(space) == 1
    assert lock(space) == YOURS
