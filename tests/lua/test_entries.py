"""`entry_put`, `entry_mark`, `entry_remove`, `entry_settle`, `entry_news`: what all schedulers share."""

from __future__ import annotations

from typing import Any, cast

import msgpack
import pytest
from redis import ResponseError

from tests.lua.space import KEYS, Space

E = KEYS.entries
BOOK = [E.entries, E.changes, E.state, E.removed]
NEWS = KEYS.entry_news
MODULUS = 2**50


def _put(
    space: Space,
    entry_id: str = "a",
    *,
    digest: str = "d1",
    call: str = "call",
    origin: str = "client",
    application: str = "",
    policy: str = "put",
    force: bool = False,
    expected: object = "",
    rhythm: str = "hourly",
    queue: str = "q",
    again: bool = False,
) -> list[Any]:
    args = [NEWS, call, origin, application, policy, "1" if force else ""]
    args += [entry_id, expected, digest, rhythm, queue, f"definition {digest}"]
    reply: Any = space.run("entry_put", BOOK, *args, again=again)
    return [reply[0], int(reply[1]), *reply[2:]]


def _mark(space: Space, mark: str, *, expected: object = "", again: bool = False) -> list[Any]:
    reply: Any = space.run("entry_mark", BOOK, NEWS, "a", expected, mark, "lunch", again=again)
    return [reply[0], int(reply[1]), *reply[2:]]


def _mark_as(space: Space, mark: str, least: int, *, expected: object = "", again: bool = False) -> list[Any]:
    reply: Any = space.run("entry_mark", BOOK, NEWS, "a", expected, mark, least, again=again)
    return [reply[0], int(reply[1]), *reply[2:]]


def _remove(space: Space, *, expected: object = "", force: str = "", again: bool = False) -> list[Any]:
    reply: Any = space.run("entry_remove", BOOK, NEWS, "a", expected, force, again=again)
    return [reply[0], int(reply[1]), reply[2]]


def _news(
    space: Space, after: object = 0, count: int = 100, size: int = 10_000
) -> tuple[list[Any], list[Any]]:
    reply: Any = space.run("entry_news", BOOK[:3], after, count, size)
    rest = reply[4:]
    rows = [(rest[i], int(rest[i + 1]), bool(rest[i + 2])) for i in range(0, len(rest), 3)]
    return [int(reply[0]), int(reply[1]), int(reply[2]), reply[3]], rows


def _sum(space: Space) -> int:
    """Return what the sum should be, from what is there."""
    there = set(space.client.hkeys(E.entries))  # type: ignore[union-attr]
    changes: Any = space.client.zrange(E.changes, 0, -1, withscores=True)
    return sum(int(score) for name, score in changes if name in there) % MODULUS


def test_an_entry_is_stored_and_changed_under_rising_versions(space: Space) -> None:
    """The version says which change was the last, over all entries."""
    word, first, before, paused = _put(space)
    assert (word, before, paused) == ("added", "", "")
    assert abs(first - space.now() * 1e6) < 5e6
    _, second, _, _ = _put(space, "b", call="2")
    assert _put(space, digest="d2", queue="r", call="3")[0::2] == ["changed", "q"]
    assert _put(space, digest="d2", queue="r", call="4")[0] == "kept"
    (version, total, floor, is_all), rows = _news(space)
    assert [row[0] for row in rows] == ["b", "a"]
    assert first < second < version == rows[-1][1]
    assert (total, floor, is_all) == (_sum(space), 0, "1")


@pytest.mark.parametrize(
    ("expected", "word"), [("", "changed"), ("right", "changed"), ("0", "stale"), (7, "stale")]
)
def test_a_change_under_a_version_is_made_to_what_was_seen(space: Space, expected: object, word: str) -> None:
    """Two operators with one form each."""
    version = _put(space)[1]
    given = version if expected == "right" else expected
    assert _put(space, digest="d2", expected=given, call="2")[0] == word
    assert _put(space, "new", expected=0, call="3")[0] == "added"
    assert _put(space, "newer", expected=7, call="4")[0] == "stale"


def test_sent_again_it_is_known(space: Space) -> None:
    """The answer was lost, and the version is no longer the one that was expected."""
    added = _put(space, expected=0)
    assert _put(space, expected=0, again=True) == added
    changed = _put(space, digest="d2", expected=added[1], queue="r", call="2")
    before = space.everything()
    assert _put(space, digest="d2", expected=added[1], queue="r", call="2", again=True) == changed
    assert space.everything() == before
    paused = _mark(space, "pause")
    assert _mark(space, "pause", again=True) == ["kept", *paused[1:]]
    removed = _remove(space, expected=paused[1])
    assert _remove(space, expected=paused[1], again=True) == removed
    assert _remove(space)[0] == "missing"


def test_another_definition_is_left_alone_unless_it_may_be_replaced(space: Space) -> None:
    """An id that two programs chose for different work."""
    _put(space)
    assert _put(space, digest="d2", policy="add", call="2")[0] == "exists"
    assert _put(space, digest="d1", policy="add", call="3")[0] == "kept"
    assert _put(space, digest="d2", policy="add", origin="code", call="4")[0] == "exists"
    assert _put(space, digest="d2", origin="code", call="5")[0] == "changed"


def test_what_is_declared_in_code_is_changed_there(space: Space) -> None:
    """By the same application freely; by others when it is gone, or no code declares it any more."""
    _put(space, origin="code", application="shop")
    assert _put(space, digest="d2", call="2")[0] == "declared"
    assert _put(space, digest="d2", origin="code", application="other", call="3")[0] == "declared"
    assert _put(space, call="4")[0] == "kept"
    assert _put(space, digest="d2", origin="code", application="shop", policy="add", call="5")[0] == "changed"
    renamed = {"digest": "d2", "origin": "code", "application": "renamed"}
    assert _put(space, **renamed, call="6")[0] == "kept"  # type: ignore[arg-type]
    assert _put(space, **renamed, force=True, call="6b")[0] == "changed"  # type: ignore[arg-type]
    assert _put(space, **renamed, force=True, call="6c")[0] == "kept"  # type: ignore[arg-type]
    assert _remove(space)[0] == "declared"
    assert _put(space, digest="d3", force=True, call="7")[0] == "changed"
    assert _remove(space)[0] == "removed"


def test_an_orphan_is_anybodys_and_is_none_when_it_is_declared_again(space: Space) -> None:
    """A roll-back brings it back."""
    declared = {"origin": "code", "application": "shop"}
    version = _put(space, **declared)[1]  # type: ignore[arg-type]
    assert _mark(space, "orphan", expected=version - 1)[0] == "stale"
    assert _mark(space, "orphan", expected=version)[0] == "done"
    assert _mark(space, "orphan", expected=version)[0] == "kept"
    assert _put(space, **declared, call="2")[0] == "changed"  # type: ignore[arg-type]
    assert _put(space, **declared, call="3")[0] == "kept"  # type: ignore[arg-type]
    _mark(space, "orphan")
    assert _put(space, digest="d2", call="4")[0] == "changed"
    assert _mark(space, "orphan")[0] == "kept"  # a client has put it: it was never declared


def test_a_pause_lasts_over_changes_and_begins_the_rhythm_anew(space: Space) -> None:
    """What was due meanwhile is not made up for, so the entry counts from its return."""
    _put(space)
    assert _mark(space, "resume")[0] == "kept"
    assert _mark(space, "pause")[0::2] == ["done", "q"]
    assert _put(space, digest="d2", call="2")[3] == "1"
    assert _put(space, digest="d2", call="2", again=True)[3] == "1"
    assert _mark(space, "resume", expected=7)[0] == "stale"
    assert _mark(space, "resume")[0] == "done"
    assert _put(space, digest="d3", call="3")[3] == ""
    assert space.run("entry_mark", BOOK, NEWS, "other", "", "pause", "")[0] == "missing"


def test_the_rhythm_goes_on_where_only_the_task_changes(space: Space) -> None:
    """Also in another queue, which inherits what was had; another rhythm has other times."""

    def since() -> float:
        return float(msgpack.unpackb(cast("bytes", space.client.hget(E.entries, "a")), raw=True)[10])

    _put(space)
    began = since()
    _put(space, digest="d2", call="2")
    assert since() == began
    _put(space, digest="d3", rhythm="daily", call="3")
    changed = since()
    assert changed > began
    _put(space, digest="d4", rhythm="daily", queue="r", call="4")
    moved = since()
    assert moved == changed
    _mark(space, "pause")
    assert since() == moved
    _mark(space, "resume")
    assert since() > moved


def test_what_was_removed_is_told_and_forgotten_after_an_hour(space: Space) -> None:
    """Who asks from before that has to look at everything."""
    first = _put(space)[1]
    _put(space, "b", call="2")
    end = _remove(space)[1]
    (version, total, floor, _), rows = _news(space, first)
    assert rows[-1] == ("a", end, False)
    assert (version, total, floor) == (end, _sum(space), 0)
    space.client.zadd(E.removed, {"a": space.now() - 3601})
    _put(space, "c", call="3")
    (_, total, floor, _), rows = _news(space)
    assert [row[0] for row in rows] == ["b", "c"]
    assert (total, floor) == (_sum(space), end)
    # Back again before it is forgotten, it is simply there.
    _put(space, call="4")
    _remove(space)
    _put(space, call="5")
    assert space.client.zcard(E.removed) == 0
    assert _news(space)[0][1] == _sum(space)


def test_news_come_in_portions(space: Space) -> None:
    """A hundred thousand entries must not hold Redis up."""
    for number in range(5):
        _put(space, f"e{number}", call=str(number))
    (_, _, _, is_all), rows = _news(space, 0, count=2)
    assert ([row[0] for row in rows], is_all) == (["e0", "e1"], "")
    (_, _, _, is_all), rows = _news(space, rows[-1][1], size=1)
    assert ([row[0] for row in rows], is_all) == (["e2"], "")
    (_, _, _, is_all), rows = _news(space, rows[-1][1], count=2, size=1000)
    assert ([row[0] for row in rows], is_all) == (["e3", "e4"], "")
    assert _news(space, rows[-1][1])[1] == []
    assert _news(space, rows[-1][1])[0][3] == "1"


def test_who_follows_is_told(space: Space) -> None:
    """Once for each call that changes something, and not otherwise."""
    with space.listen(NEWS) as ear:
        version = _put(space)[1]
        _put(space, call="2")
        assert ear.heard() == [(NEWS, str(version))]
        version = _mark(space, "pause")[1]
        _mark(space, "pause")
        assert ear.heard() == [(NEWS, str(version))]
        version = _remove(space)[1]
        _remove(space)
        assert ear.heard() == [(NEWS, str(version))]


def test_versions_rise_when_the_last_one_is_lost(space: Space) -> None:
    """A fail-over may have cost it; who has seen it must not take the next for the same."""
    lost = _put(space)[1]
    space.client.delete(*BOOK)
    assert _put(space, call="2")[1] > lost
    space.client.hset(E.state, "version", lost + 10**9)  # by a clock that was ahead
    assert _put(space, "b", call="3")[1] == lost + 10**9 + 1


def test_a_record_that_cannot_be_read_may_be_written_anew(space: Space) -> None:
    """Somebody wrote there by hand."""
    _put(space)
    space.client.hset(E.entries, "a", b"\xc1")
    assert _mark(space, "pause")[0] == "missing"
    assert _put(space, call="2")[0] == "added"
    assert _news(space)[0][1] == _sum(space)


@pytest.mark.parametrize("name", ["entries", "changes", "state", "removed"])
def test_a_key_of_the_wrong_type_leaves_nothing_half_done(space: Space, name: str) -> None:
    """Whatever cannot be done as a whole is not begun."""
    _put(space)
    key = getattr(E, name)
    space.client.delete(key)
    space.client.set(key, "by hand")
    others = {one: space.client.dump(one) for one in BOOK if one != key}
    for call in (lambda: _put(space, "b"), lambda: _mark(space, "pause"), lambda: _remove(space)):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            call()
    assert {one: space.client.dump(one) for one in others} == others


@pytest.mark.parametrize("raw", [b"\xc1", b"text", msgpack.packb([1, 5]), msgpack.packb([1] * 16)])
def test_a_record_of_nonsense_spoils_no_other(space: Space, raw: bytes) -> None:
    """It is none, so it may be written anew; and what comes in the same call is stored."""
    space.client.hset(E.entries, "a", raw)
    assert _mark(space, "pause")[0] == "missing"
    assert _put(space)[0] == "added"
    assert _news(space)[0][1] == _sum(space)


@pytest.mark.parametrize("lost", ["deleted", "nonsense"])
def test_versions_rise_when_only_the_last_one_is_lost(space: Space, lost: str) -> None:
    """Also when the clock of Redis has been set back since."""
    ahead = _put(space)[1] + 10**9
    space.client.zadd(E.changes, {"a": ahead})
    if lost == "deleted":
        space.client.delete(E.state)
    else:
        space.client.hset(E.state, mapping={"version": "x", "sum": "", "floor": "1.5.2"})
    assert _news(space)[0][:3] == [0, 0, 0]
    assert _put(space, "b", call="2")[1] == ahead + 1


def test_what_nobody_is_told_of_is_stored_anew(space: Space) -> None:
    """Somebody has deleted the changes: who declares an entry brings it back."""
    _put(space)
    space.client.delete(E.changes)
    assert _put(space, call="2")[0] == "changed"
    assert [row[0] for row in _news(space)[1]] == ["a"]


def test_an_entry_gets_a_version_behind_one_that_was_lost(space: Space) -> None:
    """The fence of a change that a fail-over has lost is behind it then; and nothing else changes."""
    first = _put(space)[1]
    lost = first + 10**9
    assert _mark_as(space, "renew", lost) == ["done", lost + 1, "q", ""]
    assert _mark_as(space, "renew", lost, again=True) == ["kept", lost + 1, "q", ""]
    assert _mark_as(space, "renew", 10**18)[0] == "kept"
    assert _mark_as(space, "renew", lost + 5, expected=first)[0] == "stale"
    assert _put(space, call="2")[0] == "kept"
    assert _news(space)[0][:2] == [lost + 1, _sum(space)]


def test_who_comes_next_is_told_what_is_still_to_be_fenced(space: Space) -> None:
    """However much later: whoever has changed it may not have come to that, and nobody else does."""

    def settle(version: int) -> None:
        assert space.run("entry_settle", BOOK, "a", version, "gone", 5) == "ok"

    assert _put(space)[2] == ""
    changed = _put(space, digest="d2", queue="r", call="2")
    assert _put(space, digest="d2", queue="r", call="3") == ["kept", changed[1], "q", ""]
    moved = _put(space, digest="d3", queue="s", call="4")
    assert moved[2] == "q}r"
    settle(changed[1])
    assert _mark(space, "pause")[3] == "q}r}s"
    paused = _mark(space, "pause")
    before = space.everything()
    settle(paused[1])
    assert _mark(space, "pause") == ["kept", paused[1], "s", ""]
    assert _put(space, digest="d3", queue="s", call="5") == ["kept", paused[1], "", "1"]
    assert space.everything().keys() == before.keys()
    assert _news(space)[0][:2] == [paused[1], _sum(space)]


def test_a_removal_is_remembered_until_it_holds(space: Space) -> None:
    """It is told to who removes it again, and to who adds one of the same id before."""
    _put(space)
    removed = _remove(space)
    assert removed[2] == "q"
    assert _remove(space) == ["missing", *removed[1:]]
    assert _put(space, queue="r", call="2")[::2] == ["added", "q"]
    assert _remove(space)[2] == "q}r"
    space.run("entry_settle", BOOK, "a", removed[1])
    (word, version, left) = _remove(space)
    assert (word, left) == ("missing", "q}r")
    space.run("entry_settle", BOOK, "a", version)
    assert _remove(space)[::2] == ["missing", ""]
    assert space.client.hkeys(E.state) == [b"version", b"sum", b"floor"]
