"""Work on all tasks that match: counted, done, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncq.dash.scope import Spot, SweepAction
from asyncq.dash.texts import counted
from asyncq.errors import NotFoundError
from asyncq.inspector import BulkReport, Inspector


@dataclass(slots=True)
class Tally:
    """How far it is, over all places."""

    spots: Sequence[Spot]
    reports: dict[int, BulkReport] = field(default_factory=dict[int, BulkReport])

    def _sum(self, name: str) -> int:
        return sum(getattr(report, name) for report in self.reports.values())

    @property
    def total(self) -> int:
        """Tasks that are to be looked at, as far as that is known."""
        return sum(
            self.reports[at].total if at in self.reports else spot.size for at, spot in enumerate(self.spots)
        )

    @property
    def scanned(self) -> int:
        """Tasks that were looked at."""
        return self._sum("scanned")

    @property
    def matched(self) -> int:
        """Those of them that are meant."""
        return self._sum("matched")

    @property
    def done(self) -> int:
        """Those that were acted upon."""
        return self._sum("done")

    @property
    def passed_over(self) -> str:
        """How many were not, and why; empty for none."""
        reasons = Counter[str]()
        for report in self.reports.values():
            reasons.update(report.reasons)
        if not reasons:
            return ""
        why = ", ".join(f"{number:,} {word}" for word, number in reasons.most_common())
        return f"{counted(reasons.total(), 'task')} passed over, being meanwhile: {why}"


async def sweep(
    inspector: Inspector,
    action: SweepAction,
    tally: Tally,
    *,
    dry_run: bool,
    on_progress: Callable[[], None],
) -> None:
    """Do it, place by place. Cancelled, it leaves what was done done and the rest as it was.

    Args:
        inspector: Whose rights hold.
        action: What to do.
        tally: To whose places, and where it says how far it is.
        dry_run: Only count.
        on_progress: Called after each step.

    Raises:
        AsyncqError: It may not be done, or Redis is away.
    """
    act: Any = getattr(inspector.tasks, f"{action}_all")
    for at, spot in enumerate(tally.spots):

        def note(report: BulkReport, at: int = at) -> None:
            tally.reports[at] = report
            on_progress()

        try:
            note(await act(spot.queue, spot.state, dry_run=dry_run, on_progress=note, **spot.filters))
        except NotFoundError:
            continue  # the queue or group went meanwhile: there is nothing to do
