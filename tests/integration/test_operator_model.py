"""An operator beside clients and servers, against the model: any order, sent once, twice, or late."""

# ruff: noqa: D102 - rules are named as what is done

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from redis import Redis

from asyncq._broker.actions import ALLOWED, Terms
from asyncq._broker.broker import Broker
from asyncq._wire.wire import DIALECTS, NATIVE
from tests.integration.broker_model import Model
from tests.integration.test_broker_model import _QUEUE, BrokerMachine, _echoes
from tests.support.servers import RedisProcess

_terms = st.builds(
    Terms,
    action=st.sampled_from(["run", "archive", "delete"]),
    state=st.sampled_from(["", "", "pending", "retry", "archived"]),
    before=st.sampled_from([None, None, 1000.0]),
    fresh=st.booleans(),
)


def act(model: Model, terms: Terms, ids: Sequence[str]) -> list[str]:
    """What the actions do to the model; a word for each task."""
    # Told of all before anything is done, as the script looks first.
    words = [_word(model, terms, task_id) for task_id in ids]
    for task_id, word in zip(ids, words, strict=True):
        if word == "done":
            model.take_out(task_id)
            _put(model, terms, task_id)
    return words


def _word(model: Model, terms: Terms, task_id: str) -> str:
    if not model.exists(task_id):
        return "missing"
    fields = model.tasks[task_id].fields
    state = fields.get("state", "pending")
    if state not in ALLOWED[terms.action] or terms.state not in ("", state):
        return state
    ended = float(fields.get("completed_at" if state == "completed" else "failed_at", 0))
    if terms.before is not None and state in ("retry", "archived", "completed") and ended > terms.before:
        return "newer"
    return "done"


def _put(model: Model, terms: Terms, task_id: str) -> None:
    fields = model.tasks[task_id].fields
    if terms.action == "delete":
        model.release(task_id)
        del model.tasks[task_id]
        model.flow["deleted"] += 1
    elif terms.action == "archive":
        fields.update(state="archived", reason="requested")
        model.zsets["archived"][task_id] = time.time()
    else:
        forgotten = ["state", "reason", "completed_at", "result", "progress"]
        forgotten += ["retried", "lost"] if terms.fresh else []
        for name in forgotten:
            fields.pop(name, None)
        fields["ready_at"] = str(time.time())
        model.pending.insert(0, task_id)


class OperatedMachine(BrokerMachine):
    """With somebody who runs, archives and deletes."""

    @precondition(lambda self: self.model.tasks)
    @rule(server=BrokerMachine.servers, echo=_echoes, terms=_terms, data=st.data())
    def operate(self, server: str, echo: str, terms: Terms, data: st.DataObject) -> None:
        some = st.sampled_from([*self.model.tasks, "nobody"])
        ids = data.draw(st.lists(some, min_size=1, max_size=4, unique=True))
        hint = data.draw(st.sampled_from([None, 0, 1, 50]))
        expected = act(self.model, terms, ids)

        async def send(broker: Broker) -> list[str]:
            return await broker.actions.sender(_QUEUE).act(ids, terms, passed=hint, span=len(ids))

        assert self._do(server, echo, send) == expected


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("wire", DIALECTS)
def test_the_broker_does_what_the_model_does(
    redis_process: RedisProcess, redis_client: Redis, wire: str
) -> None:
    """Whoever acts upon tasks meanwhile."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: OperatedMachine(redis_process, redis_client, wire),
        settings=settings(
            max_examples=40 if wire == NATIVE else 15,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
