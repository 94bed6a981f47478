"""`asyncq doctor`: is this Redis fit for tasks, and is every task where it should be?"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.connecting import (
    CLEAN,
    FINDINGS,
    NATIVE,
    PARTLY,
    Target,
    connection_options,
    is_read_only,
    open_inspector,
    run,
)
from asyncq.cli.later import Later
from asyncq.cli.terminal import ProgressLine, ask, counted, table

if TYPE_CHECKING:
    from asyncq import errors
    from asyncq.connection import Pong
    from asyncq.inspector import Finding, Inspector, Progress, Report
else:
    errors = Later("asyncq.errors")

PATIENCE: Final = 5.0
"""Seconds to wait for a Redis that goes away in the middle; at the start there is no waiting."""

MOST_SHOWN: Final = 10
"""Findings of one kind in one queue that are shown one by one. `--json` lists them all."""

STATES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


@click.command()
@connection_options
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Only this queue; may be given again.")
@click.option("--repair", "mend", is_flag=True, help="Put right what can be put right. Asks first.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def doctor(ctx: click.Context, /, **options: Any) -> None:
    """Check Redis and every task in it; repair what is damaged.

    May be run while servers and clients work: it changes nothing unless told to, and reports only
    what is wrong at one moment. A repair looks again before it changes anything, and never removes
    a task that has a message.

    Of a cluster, the queues of nodes that answer are judged, and what could not be looked at is said.

    Exit code: 0 all is well, 1 something is damaged, 2 wrong usage, 5 Redis cannot be reached or used,
    6 nothing that was looked at is damaged, and a node of the cluster could not be looked at.
    """
    wish = _Wish(**options, read_only=is_read_only(ctx))
    if wish.mend and not wish.yes and not sys.stdin.isatty():
        raise click.UsageError(
            "--repair asks before it changes anything, and nobody is there to ask: add --yes"
        )
    ctx.exit(run(_Visit(wish).make()))


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What was asked for."""

    url: str
    wire: str
    prefix: str | None
    queues: tuple[str, ...]
    mend: bool
    read_only: bool
    yes: bool
    as_json: bool


@dataclass
class _Visit:
    """One run of the doctor."""

    wish: _Wish
    problem: str = ""
    pong: Pong | None = None
    repaired: list[Finding] = field(default_factory=list["Finding"])
    seconds: float = 0.0

    async def make(self) -> int:
        wish = self.wish
        target = Target(
            url=wish.url, wire=wish.wire, prefix=wish.prefix, patience=PATIENCE, read_only=wish.read_only
        )
        async with open_inspector(target) as inspector:
            try:
                self.pong = await inspector.ping()
            except errors.UnsafeServerError as error:
                # A damaged key space is worth looking at on a server that should not be used, too.
                self.problem = str(error)
            if not wish.as_json:
                self._tell_server(inspector.where)
            report = await self._audit(inspector)
            if not wish.as_json:
                self._tell(report)
            if wish.mend and self._may_repair(report):
                report = await self._repair(inspector, report)
        if wish.as_json:
            click.echo(json.dumps(self._as_json(report, inspector), indent=2))
        if report.damage or self.problem:
            return FINDINGS
        return PARTLY if report.missing else CLEAN

    async def _audit(self, inspector: Inspector) -> Report:
        line, started = ProgressLine(), time.monotonic()
        try:
            queues = self.wish.queues or None
            return await inspector.audit(queues=queues, partial=True, on_progress=_onto(line))
        finally:
            self.seconds = time.monotonic() - started
            line.clear()

    def _may_repair(self, report: Report) -> bool:
        number = sum(finding.repairable for finding in report.findings)
        if not number:
            return False
        return self.wish.yes or ask(f"Repair {counted(number, 'finding')}?")

    async def _repair(self, inspector: Inspector, before: Report) -> Report:
        line = ProgressLine()
        try:
            queues = self.wish.queues or None
            after = await inspector.repair(before, queues=queues, partial=True, on_progress=_onto(line))
        finally:
            line.clear()
        left = {(finding.kind, finding.queue, finding.raw) for finding in after.findings}
        unseen = {missing.name for missing in after.missing if missing.what == "queue"}
        gone = [f for f in before.findings if (f.kind, f.queue, f.raw) not in left]
        self.repaired = [finding for finding in gone if finding.queue not in unseen]
        if not self.wish.as_json:
            click.echo(click.style(f"\nRepaired {counted(len(self.repaired), 'finding')}.", fg="green"))
            if after.findings:
                click.echo("What is left:")
                _tell_findings(after.findings)
            _tell_missing(after)
            if after.is_clean:
                click.echo(self._all_is_well)
        return after

    def _tell_server(self, where: str) -> None:
        if self.pong is None:
            click.echo(click.style(f"Redis is not fit for tasks: {self.problem}", fg="red"))
            return
        click.echo(f"{self.pong.server} at {where}, {self.pong.latency * 1000:.1f} ms away")
        for warning in self.pong.warnings:
            click.echo(click.style(f"warning: {warning}", fg="yellow"))

    def _tell(self, report: Report) -> None:
        if report.counts:
            click.echo("")
            names = sorted(report.counts)
            labels = [f"{name} (paused)" if name in report.paused else name for name in names]
            counts = [[f"{report.counts[name].get(state, 0):,}" for state in STATES] for name in names]
            rows = [[label, *numbers] for label, numbers in zip(labels, counts, strict=True)]
            click.echo("\n".join(table(["queue", *STATES], rows)))
        looked = f"{counted(report.examined, 'task')} in {counted(len(report.counts), 'queue')}"
        click.echo(f"\nLooked at {looked} in {self.seconds:.1f} s.")
        _tell_findings(report.findings)
        if report.left_out:
            click.echo(f"And {counted(report.left_out, 'more finding')} of the same kinds.")
        _tell_missing(report)
        if report.is_clean:
            click.echo(click.style(self._all_is_well, fg="green"))
        elif report.damage and not self.wish.mend:
            number = sum(finding.repairable for finding in report.damage)
            click.echo(f"\nNothing was changed. `asyncq doctor --repair` would put right {number:,} of them.")

    @property
    def _all_is_well(self) -> str:
        # Go does not count what it puts in and takes out.
        more = ", and the counters add up" if self.wish.wire == NATIVE else ""
        return f"Every task is in exactly one place{more}."

    def _as_json(self, report: Report, inspector: Inspector) -> dict[str, Any]:
        return {
            "items": [_finding_as_json(finding) for finding in report.findings],
            "redis": {
                "where": inspector.where,
                "server": self.pong.server if self.pong else None,
                "latency": self.pong.latency if self.pong else None,
                "warnings": list(self.pong.warnings) if self.pong else [],
                "problem": self.problem or None,
            },
            "queues": {
                name: {
                    "is_paused": name in report.paused,
                    "tasks": counts,
                    "flow": report.flow.get(name, {}),
                }
                for name, counts in report.counts.items()
            },
            "examined": report.examined,
            "is_clean": report.is_clean,
            "left_out": report.left_out,
            "repaired": [_finding_as_json(finding) for finding in self.repaired],
            "missing": [missing._asdict() for missing in report.missing],
        }


def _onto(line: ProgressLine) -> Any:
    def show(progress: Progress) -> None:
        line.show(progress.step, progress.done, progress.total)

    return show


def _tell_findings(findings: Iterable[Finding]) -> None:
    """Damage first; of each kind a few, and how many more there are."""
    shown: Counter[tuple[str, str]] = Counter()
    ordered = sorted(findings, key=lambda f: (not f.is_damage, f.queue, f.kind))
    for finding in ordered:
        group = (finding.queue, finding.kind)
        shown[group] += 1
        if shown[group] == 1:
            colour = "red" if finding.is_damage else "yellow"
            word = "damage" if finding.is_damage else "notice"
            name = finding.kind.replace("_", " ")
            click.echo(click.style(f"\n{word}: {name} in {_where(finding)}", fg=colour, bold=True))
        if shown[group] <= MOST_SHOWN:
            click.echo(f"  {finding.key} {finding.text}")
            click.echo(f"    {'repair' if finding.repairable else 'what to do'}: {finding.remedy}")
    for (queue, kind), number in shown.items():
        if number > MOST_SHOWN:
            more = counted(number - MOST_SHOWN, "more finding")
            click.echo(f"\n{more} like it: {kind.replace('_', ' ')} in queue {queue} (--json lists them)")


def _tell_missing(report: Report) -> None:
    if not report.missing:
        return
    click.echo(click.style("\nNot looked at, and nothing is said of it:", fg="red", bold=True))
    for missing in report.missing:
        click.echo(f"  {missing}")
    if not report.damage:
        click.echo("\nWhat could be looked at is not damaged. Look again when all nodes answer.")


def _where(finding: Finding) -> str:
    return f"queue {finding.queue}" if finding.queue else "the stored entries"


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "kind": str(finding.kind),
        "queue": finding.queue,
        "key": finding.key,
        "text": finding.text,
        "remedy": finding.remedy,
        "is_damage": finding.is_damage,
        "repairable": finding.repairable,
    }
