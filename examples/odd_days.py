"""When entries are due, also on the two odd days of the year: asked in advance, without Redis.

It prints:

    30 2 * * *      in spring 03:00
    30 2 * * *      in autumn 02:30
    */30 2-3 * * *  in spring 03:00 03:30
    */30 2-3 * * *  in autumn 02:00 02:30 02:00 02:30 03:00 03:30
    0 * * * *       in spring 01:00 03:00
    0 * * * *       in autumn 01:00 02:00 02:00 03:00
    before: Fri 2027-01-29 18:00 CET
    next: Mon 2027-02-01 09:00:30 CET
    spec='0 25 * * *': expected a number from 0 to 23; field 2, the hour, says '25'
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from asyncq import Scheduler, Task
from asyncq.errors import ConfigError

PARIS = ZoneInfo("Europe/Paris")
ODD_DAYS = {
    "spring": datetime(2027, 3, 28, tzinfo=PARIS),  # from 2:00 to 3:00
    "autumn": datetime(2027, 10, 31, tzinfo=PARIS),  # from 3:00 back to 2:00
}


def main() -> None:
    """A scheduler that is not started needs no Redis."""
    scheduler = Scheduler("redis://localhost:6379/0", timezone="Europe/Paris")
    for spec in ("30 2 * * *", "*/30 2-3 * * *", "0 * * * *"):
        scheduler.register(spec, Task("odd"), entry_id=spec)
    entries = {entry.id: entry for entry in scheduler.entries}
    for spec in ("30 2 * * *", "*/30 2-3 * * *", "0 * * * *"):
        for season, day in ODD_DAYS.items():
            times = entries[spec].schedule.between(day.replace(minute=1), day.replace(hour=3, minute=59))
            print(f"{spec:15} in {season}", *[f"{at.astimezone(PARIS):%H:%M}" for at in times])

    scheduler.register("30 0 9 * * mon", Task("report"), entry_id="start of the week")
    scheduler.register(datetime(2027, 1, 29, 18, 0, tzinfo=PARIS), Task("party"), entry_id="party")
    entries = {entry.id: entry for entry in scheduler.entries}
    now = datetime(2027, 1, 30, tzinfo=PARIS)
    before = entries["party"].schedule.previous(now)
    following = entries["start of the week"].schedule.next(now)
    print("before:", f"{before.astimezone(PARIS):%a %Y-%m-%d %H:%M %Z}" if before else "never")
    print("next:", f"{following.astimezone(PARIS):%a %Y-%m-%d %H:%M:%S %Z}" if following else "never")

    try:
        scheduler.register("0 25 * * *", Task("never"))
    except ConfigError as error:
        print(error)


if __name__ == "__main__":
    main()
