"""Compares schedules with two judges around every change of clocks of twenty years: the long form of a test.

    .venv/bin/python tools/cron_sweep.py             # about ten minutes
    .venv/bin/python tools/cron_sweep.py --every 20  # each twentieth case

tests/unit/test_cron_zones.py does the same with few specs and three years. Ends with the first case in
which we differ from the definition, or from cronsim by no rule that has a name.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.cron_oracle import HOUR, RULES, Case, Change, compare, specs_at, zones_by_changes

START, END = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
NEAR = 14 * HOUR

MINUTES = ("*", "0", "30", "*/20", "*/7", "10-50/20", "1,59")
HOURS = ("*", "0", "2", "*/2", "1-3", "0-2,22-23", "0,3,23")
# A date that is always near is written by `specs_at`.
DAYS = ("* * *", "L * *", "* * sun", "1-7 * mon#1")
SECONDS = ("0 30 1,2,23 * * *", "59 59 0-3 * * *", "30 */15 2 * * *")


def specs(change: Change) -> Iterator[str]:
    """Yield what is tried around one change."""
    yield from specs_at(change)
    yield from SECONDS
    for minute, hour in itertools.product(MINUTES, HOURS):
        yield f"{minute} {hour} {DAYS[0]}"
    for days in DAYS[1:]:
        yield f"15 2 {days}"
        yield f"*/30 * {days}"


def main() -> None:
    """Compare, and say how many cases there were and which rules they needed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each so many-th case only")
    every = parser.parse_args().every
    began, seen, cases = time.monotonic(), Counter[str](), 0
    zones = zones_by_changes(START, END)
    changes = [(ZoneInfo(name), change) for name, found in zones.items() for change in found]
    print(f"{len(zones)} zones that differ, {len(changes)} changes of clocks, {START:%Y} to {END:%Y}")
    for number, (zone, change) in enumerate(changes):
        for spec in itertools.islice(specs(change), number % every, None, every):
            # By the second there are many.
            near = 3 * HOUR if spec in SECONDS else NEAR
            compare(Case(spec, zone, change.at - near, change.at + near, change), seen)
            cases += 1
        if number % 100 == 99:
            print(f"  {number + 1} changes, {cases} cases, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{cases} cases agree after {time.monotonic() - began:.0f} s. Rules by which cronsim differs:")
    for name, count in seen.most_common():
        print(f"  {count:6} {name}: {RULES[name]}")


if __name__ == "__main__":
    main()
