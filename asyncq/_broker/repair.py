"""Puts right what an audit found, one atomic script for each finding, which looks again first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asyncq._broker.audit import audit, basis_of
from asyncq._broker.basis import Basis
from asyncq._broker.broker import Broker
from asyncq._broker.entry_audit import repair_entries
from asyncq._broker.findings import OF_ENTRIES, OF_TASKS, Finding, Kind, OnProgress, Report
from asyncq._broker.groups import UNGATHER
from asyncq._broker.judgement import REGROUP, UNLOCK, Suspect, balance, judge, names_lock
from asyncq.errors import BrokerUnavailableError, WireError

MOST_ROUNDS: Final = 20
"""Repairs and audits in turn. Two are the rule: one repair may show the next damage (a ghost's lock)."""

_LOCKS: Final = frozenset({Kind.DEAD_LOCK, Kind.STRAY_LOCK, Kind.UNNAMED_LOCK})
_GROUPS: Final = frozenset({Kind.UNLISTED_GROUP, Kind.EMPTY_GROUP})


async def repair(
    broker: Broker | Basis,
    report: Report,
    *,
    queues: Sequence[str] | None = None,
    partial: bool = False,
    on_progress: OnProgress | None = None,
) -> Report:
    """Repair what `report` found, and audit again until nothing is left that can be repaired.

    May be called while everything runs: what is no longer so is left alone. No task that has a
    message is ever removed.

    Args:
        broker: The way to Redis.
        report: What `audit` returned.
        queues: The queues that were audited.
        partial: As for `audit`: repair what can be reached, and say in the report what cannot.
        on_progress: As for `audit`.

    Returns:
        The last report; clean, unless something is beyond repair or is being damaged again.
    """
    basis = basis_of(broker)
    for _ in range(MOST_ROUNDS):
        findings = [finding for finding in report.findings if finding.repairable]
        if not findings:
            break
        of_entries = [finding for finding in findings if finding.kind in OF_ENTRIES]
        others = [finding for finding in findings if finding.kind not in OF_ENTRIES]
        for queue in [None, *dict.fromkeys(finding.queue for finding in others)]:
            try:
                if queue is None:
                    await repair_entries(basis, of_entries)
                else:
                    await _repair_queue(basis, queue, [one for one in others if one.queue == queue])
            except BrokerUnavailableError:
                if not (partial and basis.router.is_cluster):
                    raise  # otherwise the next audit says what cannot be reached
        report = await audit(basis, queues=queues, partial=partial, on_progress=on_progress)
    return report


async def _repair_queue(basis: Basis, queue: str, findings: list[Finding]) -> None:
    tasks = {finding.raw: finding for finding in findings if finding.kind in OF_TASKS}
    suspects = [
        Suspect(raw, finding.seen_in, finding.unseen, await _keep(basis, queue, finding))
        for raw, finding in tasks.items()
    ]
    async for _ in judge(basis, queue, suspects, apply=True):
        pass
    for finding in findings:
        if finding.kind in _LOCKS:
            await _unlock(basis, finding)
        elif finding.kind in _GROUPS:
            await _regroup(basis, finding)
        elif finding.kind is Kind.STALE_SET:
            await _give_back(basis, finding)
        elif finding.kind is Kind.UNLISTED_QUEUE:
            router, names = basis.router, basis.wire.keys.queues
            await router.command("SADD", names, queue, slot=router.slot_of(names), patience=basis.patience)
    # The counters come last and alone: corrected while other damage is left, they would be wrong again.
    if {finding.kind for finding in findings} == {Kind.COUNTERS}:
        await balance(basis, queue, [], expected=0)


async def _keep(basis: Basis, queue: str, finding: Finding) -> float:
    """Seconds for which an orphan is kept if it is completed: its message says it."""
    # Most orphans were pending: for those nothing need be asked.
    if finding.kind is not Kind.ORPHAN or finding.home != "completed":
        return 0.0
    key: Any = basis.queue(queue).task_prefix.encode() + finding.raw
    message: Any = await basis.router.command(
        "HGET", key, "msg", slot=basis.slot(queue), patience=basis.patience
    )
    try:
        return basis.wire.decode(message).retention if message is not None else 0.0
    except WireError:
        return 0.0


async def _unlock(basis: Basis, finding: Finding) -> None:
    keys = basis.queue(finding.queue)
    owner = finding.seen_in[0] if finding.seen_in else b""
    vouched = owner if owner and await names_lock(basis, finding.queue, owner, finding.raw) else b""
    lock: Any = keys.unique_prefix.encode() + finding.raw
    await basis.run(
        UNLOCK, [lock], ["1", keys.task_prefix, finding.raw, vouched], slot=basis.slot(finding.queue)
    )


async def _regroup(basis: Basis, finding: Finding) -> None:
    keys = basis.queue(finding.queue)
    group: Any = keys.group_prefix.encode() + finding.raw
    await basis.run(REGROUP, [keys.groups, group], ["1", finding.raw], slot=basis.slot(finding.queue))


async def _give_back(basis: Basis, finding: Finding) -> None:
    keys = basis.queue(finding.queue)
    taken: Any = keys.group_prefix.encode() + finding.raw
    where = [keys.groups, keys.aggregation_sets, taken]
    args = [keys.group_prefix, basis.wire.keys.news]
    await basis.run(UNGATHER, where, args, slot=basis.slot(finding.queue))
