"""How the demo tells what happens: a live picture in a terminal, plain lines everywhere else.

Nothing in here is needed to use asyncq. `demo.py` is the file to read.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

NEWS_SHOWN = 14
PLAIN_COUNTS_EVERY = 3.0


@dataclass(frozen=True)
class Counts:
    """How many tasks of one queue are in each state."""

    pending: int = 0
    active: int = 0
    scheduled: int = 0
    retry: int = 0
    completed: int = 0
    archived: int = 0
    processed: int = 0
    failed: int = 0

    @property
    def unfinished(self) -> int:
        """Tasks that still have to run."""
        return self.pending + self.active + self.scheduled + self.retry


async def count(redis: Redis, queue: str) -> Counts:
    """Look into Redis. The keys are those of docs/concepts/keyspace.md."""
    base = f"asyncq:{{{queue}}}:"
    async with redis.pipeline(transaction=True) as pipe:
        pipe.llen(base + "pending")
        for zset in ("lease", "scheduled", "retry", "completed", "archived"):
            pipe.zcard(base + zset)
        pipe.get(base + "processed")
        pipe.get(base + "failed")
        return Counts(*(int(answer or 0) for answer in await pipe.execute()))


class Story:
    """Plain lines, for logs and for terminals without colours."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._counted = self._began

    @contextmanager
    def telling(self) -> Generator[None]:
        """Tell for the length of a block."""
        handler = _LogToStory(self)
        logger = logging.getLogger("asyncq")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def tell(self, text: str) -> None:
        """Say that something happened."""
        print(self._stamped(text), flush=True)

    def show(self, counts: Mapping[str, Counts], orders: Mapping[int, str]) -> None:
        """Show how things are."""
        del orders  # each change of an order has a line of its own
        now = time.monotonic()
        if now - self._counted >= PLAIN_COUNTS_EVERY:
            self._counted = now
            parts = (
                f"{queue} {c.pending} pending, {c.active} active, {c.scheduled} scheduled"
                for queue, c in counts.items()
            )
            self.tell("          queues: " + "; ".join(parts))

    def _stamped(self, text: str) -> str:
        return f"{time.monotonic() - self._began:5.1f} s  {text}"


class LiveStory(Story):
    """One picture that changes: queues, orders, and the latest news."""

    def __init__(self) -> None:
        super().__init__()
        self._news: deque[str] = deque(maxlen=NEWS_SHOWN)
        self._counts: Mapping[str, Counts] = {}
        self._orders: Mapping[int, str] = {}
        self._live: Live | None = None

    @contextmanager
    def telling(self) -> Generator[None]:
        """Show the picture for the length of a block, and leave the last one standing."""
        from rich.live import Live  # noqa: PLC0415 - rich is optional

        with super().telling(), Live(self._picture(), refresh_per_second=8) as self._live:
            yield
        self._live = None

    def tell(self, text: str) -> None:
        """Say that something happened."""
        self._news.append(self._stamped(text))
        self._redraw()

    def show(self, counts: Mapping[str, Counts], orders: Mapping[int, str]) -> None:
        """Show how things are."""
        self._counts, self._orders = counts, dict(orders)
        self._redraw()

    def _redraw(self) -> None:
        if self._live is not None:
            self._live.update(self._picture())

    def _picture(self) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415 - rich is optional
        from rich.panel import Panel  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        queues = Table(expand=True, title="queues", title_justify="left")
        queues.add_column("queue")
        names = ("pending", "active", "scheduled", "retry", "completed", "archived", "processed")
        for name in names:
            queues.add_column(name, justify="right")
        for queue, counts in self._counts.items():
            numbers = [getattr(counts, name) for name in names]
            queues.add_row(queue, *(f"[bold]{n}[/]" if n else "[dim]0[/]" for n in numbers))
        orders = Text("orders  ")
        for number, status in self._orders.items():
            # No-break spaces, so that a line ends between two orders.
            orders.append(
                f"\N{NO-BREAK SPACE}{number}\N{NO-BREAK SPACE}{status}\N{NO-BREAK SPACE}", _STYLES[status]
            )
            orders.append(" ")
        return Group(queues, orders, Panel(Text("\n".join(self._news)), title="news", title_align="left"))


_STYLES = {"placed": "black on yellow", "paid": "black on green", "refused": "white on red", "closed": "dim"}


class _LogToStory(logging.Handler):
    """What the library has to say belongs to the story."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        self._story.tell(f"log       {record.getMessage()}")


def make_story() -> Story:
    """Choose how to tell it."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return Story()
    try:
        import rich  # noqa: F401, PLC0415 - is it there?
    except ImportError:
        return Story()
    return LiveStory()
