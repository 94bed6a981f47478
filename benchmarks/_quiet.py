"""Measuring on a machine that is shared: tell what others did meanwhile, and try again.

A run is disturbed when programs that are not part of it used the processors. Such a run is
repeated a few times, and of all attempts the least disturbed one counts, whatever it says: the
choice looks at others, never at the result.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

ATTEMPTS = 4
TOLERATED = 0.1
"""Share of one core that others may use."""

PATIENCE = 2.0
"""Seconds to wait for a quiet moment to begin with."""

Variant = Callable[[], Awaitable[Mapping[str, float]]]


def busy() -> float:
    """Seconds of CPU that all programs of this machine have used; 0 where the system does not say."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return 0.0
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def ours() -> float:
    """Seconds of CPU of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


async def until_quiet() -> None:
    """Wait until others let this machine alone for a moment, but not for long."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        before = busy()
        await asyncio.sleep(0.25)
        if busy() - before <= 0.04:
            return


async def undisturbed(variant: Variant, server_cpu: Callable[[], float]) -> Mapping[str, float]:
    """Run a variant until others leave it alone; the least disturbed attempt."""
    best: tuple[float, Mapping[str, float]] | None = None
    for _ in range(ATTEMPTS):
        await until_quiet()
        all_before, ours_before, started = busy(), ours() + server_cpu(), time.perf_counter()
        seen = await variant()
        used = busy() - all_before - (ours() + server_cpu() - ours_before)
        others = used / (time.perf_counter() - started)
        if best is None or others < best[0]:
            best = others, seen
        if others <= TOLERATED:
            break
    assert best is not None
    return best[1]
