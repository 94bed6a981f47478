"""How many tasks to take from which queue."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from asyncq._engine.queue_order import QueueOrder

_queues = st.dictionaries(
    st.sampled_from([f"q{number}" for number in range(8)]), st.integers(1, 100), min_size=1, max_size=8
)
_wants = st.lists(st.integers(0, 500), min_size=1, max_size=80)


@given(queues=_queues, wants=_wants)
def test_quotas_add_up_and_are_never_negative(queues: dict[str, int], wants: list[int]) -> None:
    """Whatever was wanted before: more than is wanted would be hoarding, less would idle."""
    order = QueueOrder(queues, strict=False)
    for want in wants:
        quotas = order.divide(want)
        assert sum(quota for _, quota in quotas) == want
        assert all(quota >= 0 for _, quota in quotas)
        assert sorted(name for name, _ in quotas) == sorted(queues)


@given(queues=_queues, wants=_wants)
def test_shares_hold_over_any_window(queues: dict[str, int], wants: list[int]) -> None:
    """From any division to any later one, each queue got its share but for a few tasks."""
    order = QueueOrder(queues, strict=False)
    total = sum(queues.values())
    ahead = {name: [0.0] for name in queues}  # what it got beyond its share, after each division
    for want in wants:
        for name, quota in order.divide(want):
            ahead[name].append(ahead[name][-1] + quota - want * queues[name] / total)
    for name, values in ahead.items():
        # At most one task behind and as much ahead: so a window is wrong by two at the most.
        assert max(values) - min(values) <= 2 + 1e-6, (name, values)


@given(queues=_queues, rounds=st.integers(1, 5))
def test_one_at_a_time_each_round_gives_each_queue_its_weight(queues: dict[str, int], rounds: int) -> None:
    """A server with one slot is fair too."""
    order = QueueOrder(queues, strict=False)
    given_ = dict.fromkeys(queues, 0)
    for _ in range(rounds * sum(queues.values())):
        for name, quota in order.divide(1):
            given_[name] += quota
    for name, weight in queues.items():
        assert abs(given_[name] - rounds * weight) <= 1


def test_heavy_and_light_queues_are_never_owed_more_than_there_is() -> None:
    """Served by how much each is owed, several were owed a whole one when only one was wanted."""
    weights = random.Random(7)
    for _ in range(300):
        queues = {f"q{number}": weights.choice([1, 2, 5, 40, 100]) for number in range(8)}
        order = QueueOrder(queues, strict=False)
        for want in weights.choices(range(4), k=80):
            assert sum(quota for _, quota in order.divide(want)) == want


def test_what_one_is_short_of_it_gets_next_time() -> None:
    """Tasks do not split; rounding favours nobody for long."""
    order = QueueOrder({"a": 1, "b": 1}, strict=False)
    assert [dict(order.divide(want)) for want in (1, 1, 3, 3, 4)] == [
        {"a": 1, "b": 0},
        {"a": 0, "b": 1},
        {"a": 2, "b": 1},
        {"a": 1, "b": 2},
        {"a": 2, "b": 2},
    ]


@given(queues=_queues, want=st.integers(0, 500))
def test_strict_offers_everything_to_each_by_rank(queues: dict[str, int], want: int) -> None:
    """The first takes what it has; the next get what is left."""
    order = QueueOrder(queues, strict=True)
    ranked = sorted(queues, key=lambda name: (-queues[name], name))
    assert order.names == ranked
    assert order.divide(want) == [(name, want) for name in ranked]
