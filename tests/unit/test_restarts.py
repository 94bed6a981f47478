"""When processes that ended start again, and when their parent gives up."""

from __future__ import annotations

import pytest

from asyncq.cli.plan import Plan, beside
from asyncq.cli.restarts import LONGEST_DELAY, STEADY, VAIN_STARTS, Ending, Restarts

CRASH = Ending(-9, was_ready=True, lived=0.1)
VAIN = Ending(1, was_ready=False, lived=0.1)


def test_delays_grow_for_a_process_that_keeps_crashing() -> None:
    """A crash loop must not take the processor from those that work."""
    restarts = Restarts()
    delays = [restarts.delay(1, CRASH) for _ in range(9)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY
    assert restarts.delay(2, CRASH) == 0.5, "each process has its own account"


def test_who_worked_for_a_while_starts_again_at_once() -> None:
    """One crash a day is no loop."""
    restarts = Restarts()
    assert restarts.delay(1, CRASH) == 0.5
    assert restarts.delay(1, Ending(-11, was_ready=True, lived=STEADY)) == 0.0
    assert restarts.delay(1, CRASH) == 0.5, "and what was before is forgotten"


def test_the_very_first_start_must_succeed() -> None:
    """Whoever deploys must see at once that it does not."""
    restarts = Restarts()
    restarts.delay(1, VAIN)
    assert restarts.is_over(working=0)


def test_later_it_takes_several_vain_starts_with_nobody_left() -> None:
    """Redis may come back; and as long as one process works there is no reason to leave."""
    restarts = Restarts()
    restarts.started()
    for _ in range(VAIN_STARTS - 1):
        restarts.delay(1, VAIN)
        assert not restarts.is_over(working=0)
    restarts.delay(1, VAIN)
    assert not restarts.is_over(working=1)
    assert restarts.is_over(working=0)
    restarts.started()
    assert not restarts.is_over(working=0)


def test_crashes_alone_are_no_reason_to_give_up() -> None:
    """A task that kills whoever runs it is archived after some losses; the processes must outlive that."""
    restarts = Restarts()
    restarts.started()
    for _ in range(20):
        restarts.delay(1, CRASH)
    assert not restarts.is_over(working=0)


def test_new_code_begins_with_a_clean_record() -> None:
    """After a reload the first crash is a first crash."""
    restarts = Restarts()
    restarts.delay(1, CRASH)
    restarts.forget()
    assert restarts.delay(1, CRASH) == 0.5


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending(-9, was_ready=True, lived=1), "was ended by SIGKILL"),
        (Ending(-250, was_ready=True, lived=1), "was ended by signal 250"),
        (Ending(0, was_ready=True, lived=1), "ended with exit code 0"),
        (Ending(2, was_ready=False, lived=1), "ended with exit code 2 before it had started"),
    ],
)
def test_endings_say_what_happened(ending: Ending, words: str) -> None:
    """The line in the log is all that whoever is on call has."""
    assert str(ending) == words


def test_a_plan_survives_the_command_line() -> None:
    """A child is told by text what it is to do."""
    plan = Plan(apps=("a:app", "b"), options={"queues": {"ä": 2}, "concurrency": 3}, probes="127.0.0.1:8081")
    child = Plan.loads(plan.for_child(2).dumps())
    assert child == Plan(
        apps=("a:app", "b"),
        options={"queues": {"ä": 2}, "concurrency": 3},
        probes="127.0.0.1:8083",
        number=2,
    )


def test_each_process_has_a_port_of_its_own_for_probes() -> None:
    """0 is any free port, so it stays as it is."""
    assert beside("0.0.0.0:8081", 3) == "0.0.0.0:8084"
    assert beside("[::1]:0", 3) == "[::1]:0"
    assert beside(None, 3) is None
