"""What the probes make of what can be seen of a server, and of a scheduler."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncq._engine.condition import Signs, judge
from asyncq._probes import Condition
from asyncq._scheduling import condition as of_scheduler
from asyncq._scheduling.pulse import SchedulerHealth
from asyncq.errors import BrokerUnavailableError, Missing, PartlyUnavailableError

WELL = Signs(status="active", trouble=None, silent_for=1.0, active=3, stuck=0, concurrency=10)
AWAY = BrokerUnavailableError("redis://there", "refused")
PARTLY = PartlyUnavailableError("redis://there", [Missing("node", "a", "a", "refused")])


def _judge(**signs: Any) -> tuple[bool, bool, Condition]:
    condition = judge(replace(WELL, **signs), ready_within=30.0)
    is_alive = not condition.faults
    return is_alive and not condition.obstacles, is_alive, condition


@pytest.mark.parametrize(
    ("signs", "is_ready", "is_alive", "says"),
    [
        ({}, True, True, ""),
        ({"silent_for": 30.0}, True, True, ""),
        ({"status": "starting"}, False, True, "starting"),
        ({"status": "stopped", "silent_for": 900.0}, False, True, "no more tasks"),
        ({"status": "leaving", "silent_for": 900.0}, False, True, "leaving"),
        ({"trouble": AWAY}, False, True, "refused"),
        ({"trouble": AWAY, "silent_for": 900.0}, False, True, "no answer for 900 s"),
        ({"silent_for": 31.0}, False, False, "though Redis is there"),
        ({"trouble": PARTLY}, True, True, "a part of Redis is away"),
        ({"trouble": PARTLY, "silent_for": 31.0}, False, True, "no answer for 31 s"),
        ({"stuck": 9}, True, True, "9 of 10 slots"),
        ({"stuck": 1}, True, True, "a handler that was"),
        ({"stuck": 10}, False, False, "all 10 slots"),
    ],
)
def test_a_server_is_ready_while_it_works_and_alive_while_a_restart_would_not_help(
    signs: dict[str, Any], *, is_ready: bool, is_alive: bool, says: str
) -> None:
    """Redis away is no reason to start it again; silence though Redis is there is one."""
    ready, alive, condition = _judge(**signs)
    assert (ready, alive) == (is_ready, is_alive)
    assert says in "; ".join([*condition.obstacles, *condition.faults, *condition.remarks])


LATE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "state", "trouble", "is_ready", "is_alive"),
    [
        ("running", "ok", None, True, True),
        ("starting", "stopped", None, False, True),
        ("stopped", "stopped", None, False, True),
        ("leaving", "stopped", None, False, True),
        ("running", "ok", AWAY, False, True),
        ("running", "ok", PARTLY, True, True),
        ("running", "stalled", AWAY, False, True),
        ("running", "stalled", None, False, False),
    ],
)
def test_a_scheduler_that_is_stalled_though_redis_is_there_needs_a_restart(
    status: str, state: Any, trouble: Any, *, is_ready: bool, is_alive: bool
) -> None:
    """In all else it is judged as a server is."""
    health = SchedulerHealth(state, None, LATE if state == "stalled" else None)
    condition = of_scheduler.judge(status, health, trouble)
    assert (not condition.faults) is is_alive
    assert (not condition.faults and not condition.obstacles) is is_ready
    if state == "stalled":
        assert LATE.isoformat() in "".join([*condition.faults, *condition.obstacles])
