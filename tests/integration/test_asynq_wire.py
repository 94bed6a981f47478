"""What is promised of the native wire holds in the asynq wire, too: the same tests, one of each kind.

Go is not in the picture here; see tests/interop for that. What tests look at is shown to them as it would
be in the native wire (tests/support/keyspace.py), so what is compared is not the layout but what became of
tasks. Left out are tests of what has nothing to do with a wire, and those that write to Redis by hand.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

import asyncq.shared
from asyncq._wire.wire import ASYNQ
from tests.conftest import TOPOLOGIES

CHOSEN = {
    "enqueue": ["what_is_due_already_is_pending", "an_id_is_taken_once"],
    "enqueue_many": [
        "many_tasks_say_for_each_what_happened",
        "a_call_whose_answer_was_lost_makes_no_second_task",
    ],
    "unique": [
        "the_lock_is_held_for_as_long_as_its_owner_may_run",
        "the_archive_gives_up_locks_where_it_is_told_to",
        "a_task_that_is_handed_back_keeps_its_lock",
        "what_the_janitor_removes_loses_its_lock",
        "an_id_that_is_taken_takes_no_lock",
        "the_owner_itself_may_be_enqueued_again",
    ],
    "outcomes": [
        "signals_are_heard_however_they_come",
        "a_handler_that_cancels_itself_has_failed",
        "time_limits_stop_a_handler",
        "a_handler_may_finish_although_it_is_told_to_stop",
    ],
    "results": [
        "who_waits_is_told_at_once",
        "a_result_that_is_there_needs_no_waiting",
        "a_task_that_failed_for_good_says_why",
        "a_task_of_which_nothing_is_kept_says_so",
        "progress_is_shown_while_we_wait",
        "threads_wait_with_the_blocking_client",
    ],
    "result_ends": ["who_waits_is_told_however_a_task_ends"],
    "cancelling": [
        "a_waiting_task_is_cancelled",
        "a_task_that_waits_for_its_retry_is_cancelled",
        "what_a_handler_makes_of_it",
        "a_server_that_leaves_does_not_put_it_back",
        "tasks_may_be_cancelled_while_they_are_taken",
    ],
    "groups": [
        "the_new_task_has_options_of_its_own",
        "a_delayed_task_joins_its_group_when_it_is_due",
        "the_lock_of_a_grouped_task_goes_with_it",
        "several_servers_aggregate_each_task_once",
        "the_audit_knows_what_is_being_aggregated",
    ],
    "limits": [
        "without_a_slot_a_task_is_scheduled_and_its_place_is_free",
        "a_leaving_server_leaves_its_waiting_tasks_to_others",
        "a_semaphore_in_a_handler_belongs_to_the_delivery",
    ],
    "semaphore": ["no_more_holders_than_slots_on_every_kind_of_redis"],
    "inspector": [
        "a_task_is_seen_with_everything_that_was_said_of_it",
        "what_is_being_worked_on_is_seen_with_who_does",
    ],
    "inspector_actions": [
        "a_task_is_run_archived_and_deleted",
        "an_action_that_is_not_allowed_says_what_would_be",
        "some_tasks_are_told_one_by_one",
        "an_archived_task_that_runs_again_is_tried_once_or_afresh",
        "what_fails_again_meanwhile_is_left_alone",
        "tasks_are_deleted_while_servers_take_them",
    ],
    "inspector_edits": [
        "a_server_gets_the_task_as_it_was_changed",
        "everything_that_may_change",
        "the_payload_is_written_as_the_old_one_was",
        "a_task_that_changed_meanwhile_is_left_alone",
        "an_archived_task_is_repaired_and_runs",
    ],
    "measures": [
        "counts_are_what_happened",
        "a_delayed_task_is_late_from_its_time_on",
        "a_retry_waits_from_its_time_on",
        "somebody_looks_how_much_there_is_to_do",
        "a_removed_queue_takes_its_numbers_along",
    ],
    "metrics": ["the_exporter_shows_what_there_is"],
    "queues": ["a_queue_is_seen_with_all_that_is_in_it", "all_queues_are_seen_at_once"],
    "removing_queues": [
        "with_force_all_goes_and_other_queues_stay",
        "what_runs_is_cancelled_when_its_queue_is_removed",
        "removing_beside_clients_and_servers_leaves_no_trace",
    ],
    "server": ["what_runs_may_finish", "stop_takes_no_more_and_lets_the_rest_go_on"],
    "scheduler": ["a_scheduled_task_runs_in_a_server_of_the_same_program"],
    "overlap": ["one_time_waits_for_the_end_of_a_run", "a_run_that_takes_too_long_is_cancelled"],
    "sync": [
        "entries_of_schedulers_are_changed_from_blocking_code",
    ],
}
EVERYWHERE = {
    "test_enqueue_many_many_tasks_say_for_each_what_happened",
    "test_results_a_task_that_failed_for_good_says_why",
    "test_groups_a_delayed_task_joins_its_group_when_it_is_due",
    "test_inspector_actions_a_task_is_run_archived_and_deleted",
    "test_inspector_edits_everything_that_may_change",
}
"""Run on a cluster and behind a sentinel, too."""

_Fixture = type(pytest.fixture(lambda: None))


def _on_few_kinds(test: Any, name: str) -> Any:
    """The same test, on a single server only: a wire has nothing to do with where keys lie."""
    copy: Any = FunctionType(test.__code__, test.__globals__, name, test.__defaults__, test.__closure__)
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.args[:1] != ("any_redis",)]
    copy.__kwdefaults__, copy.pytestmark = test.__kwdefaults__, marks
    if "any_redis" not in inspect.signature(test).parameters:
        return copy
    kinds = TOPOLOGIES if name in EVERYWHERE else ["single"]
    return pytest.mark.parametrize("any_redis", kinds, indirect=True)(copy)


for _area, _names in CHOSEN.items():
    _module = import_module(f"tests.integration.test_{_area}")
    globals().update({name: it for name, it in vars(_module).items() if isinstance(it, _Fixture)})
    for _name in _names:
        _new = f"test_{_area}_{_name}"
        globals()[_new] = _on_few_kinds(getattr(_module, f"test_{_name}"), _new)


@pytest.fixture(autouse=True)
def _asynq_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncq.shared, "DEFAULT_WIRE", ASYNQ)
