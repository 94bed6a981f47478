"""When a periodic task is due: cron expressions, intervals and single instants, right across clock changes.

`reading` turns a spec into a schedule, and `fields` says what is wrong with one that cannot be read.
`schedule` has what goes by real time, `calendar` what goes by the clock on the wall, and `clocks`
knows where that clock jumps. docs/adr/0015 has the rules for the two odd days of the year.
"""

from __future__ import annotations

from asyncq._cron.calendar import CronSchedule
from asyncq._cron.reading import parse
from asyncq._cron.schedule import IntervalSchedule, OnceSchedule, Schedule
from asyncq._cron.zones import time_zone

__all__ = ["CronSchedule", "IntervalSchedule", "OnceSchedule", "Schedule", "parse", "time_zone"]
