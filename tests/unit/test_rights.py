"""Rights as data: sets of names, limited to queues, and what two of them have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._wire.states import State
from asyncq.errors import ConfigError
from asyncq.inspector import RIGHTS, Rights, TaskFilters
from asyncq.inspector.listing import read_place
from asyncq.inspector.noting import Refusals
from asyncq.inspector.rights import CHANGES

_patterns = st.lists(st.text("ab*", min_size=1, max_size=4), max_size=3)
_rights = st.builds(
    lambda names, queues: Rights.of(*names, queues=queues),
    st.sets(st.sampled_from([*RIGHTS])),
    st.none() | _patterns,
)


def test_roles_hold_one_another() -> None:
    """Who has the larger one can do all of the smaller one."""
    viewer, operator, admin = Rights.viewer(), Rights.operator(), Rights.admin()
    assert viewer.names < operator.names < admin.names == set(RIGHTS)
    assert admin == Rights.all()
    assert not any(right in viewer for needed in CHANGES.values() for right in needed)


@pytest.mark.parametrize(
    ("patterns", "queue", "seen"),
    [
        (["billing"], "billing", True),
        (["billing"], "billing2", False),
        (["billing"], "Billing", False),
        (["mail-*"], "mail-out", True),
        (["mail-*"], "mail-", True),
        (["mail-*"], "email-out", False),
        (["*-eu"], "mail-eu", True),
        (["a.b"], "axb", False),
        (["[ab]"], "a", False),
        (["x", "mail-*"], "mail-1", True),
        (["*"], "line\nbreak", True),
        ([], "billing", False),
        (None, "billing", True),
    ],
)
def test_queues_are_named_or_alike(patterns: list[str] | None, queue: str, *, seen: bool) -> None:
    """A star stands for any text, and nothing else is special."""
    rights = Rights.all(queues=patterns)
    assert rights.sees(queue) is seen
    assert rights.may("task.run", queue) is seen
    assert rights.may("task.run")


@given(_rights, _rights, st.sampled_from([*RIGHTS]), st.text("ab", min_size=1, max_size=4))
def test_both_is_what_each_allows(one: Rights, other: Rights, right: str, queue: str) -> None:
    """Whatever the patterns are: a view never has more than the inspector it is made from."""
    assert (one & other).may(right, queue) is (one.may(right, queue) and other.may(right, queue))
    assert (one & other).may(right) is (one.may(right) and other.may(right))


@pytest.mark.parametrize(
    ("names", "queues", "hint"),
    [
        (["task.retry"], None, "task.r"),
        (["tasks.delete"], None, "'task.delete'"),
        ([7], None, "task.run"),
        (["view"], "billing", "names of queues"),
        (["view"], ["a{b}"], "names of queues"),
        (["view"], [""], "names of queues"),
    ],
)
def test_what_is_no_right_is_refused(names: list[str], queues: list[str] | None, hint: str) -> None:
    """With the one that was meant; a queue alone is taken for a forgotten pair of brackets."""
    with pytest.raises(ConfigError, match=hint):
        Rights.of(*names, queues=queues)


def test_a_question_about_no_right_is_a_mistake() -> None:
    """A button that asks for a misspelt right would never be shown."""
    with pytest.raises(ConfigError, match=r"task\.run"):
        Rights.all().may("task.runn")


def test_the_trail_says_which_tasks_were_meant() -> None:
    """Every filter that there is: one that is left out would make it look like more."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    filters: dict[str, Any] = {
        "type": "a:*",
        "error": "no way",
        "cause": "c1",
        "since": moment,
        "until": moment,
    }
    filters |= {"where": lambda _: True, "group": "g"}
    assert {*filters} == {*TaskFilters.__annotations__}
    told = read_place("q", State.AGGREGATING, cast("TaskFilters", filters)).describe()
    assert told == (
        "aggregating group='g' type='a:*' error='no way' cause='c1' "
        "since=2026-11-21T00:00:00+00:00 until=2026-11-21T00:00:00+00:00 where=..."
    )


def test_refusals_are_counted_by_actor_and_minute() -> None:
    """From the first one on; and however many people try, the memory has an end."""
    refusals = Refusals()
    assert [refusals.count("eve", at=at) for at in (0.0, 1.0, 59.9, 60.0, 61.0)] == [1, 2, 3, 1, 2]
    assert refusals.count("mallory", at=61.0) == 1
    for number in range(5000):
        refusals.count(str(number), at=1000.0 + number)
    assert len(vars(refusals)["_seen"]) <= 1001
