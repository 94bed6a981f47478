"""Waiting for tasks to end.

Who waits leaves a mark in the task's hash, and whoever writes the last outcome of the task tells the
client by a message on a channel of its own. Messages can be missed, so what is believed is never the
message but a look at the task: at the first call, when a message names it, when listening begins (again),
and every few seconds all the same. All who wait in one client share one subscription, which is made
when first needed, and looks that are due at the same time share calls.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncq._broker.basis import Basis, script
from asyncq._redis.router import Call
from asyncq._redis.subscription import Subscription
from asyncq._service import Errands
from asyncq._wire.wire import Wire
from asyncq.errors import AsyncqError, ClosedError

AWAIT: Final = script("await")
DISMISS: Final = script("dismiss")

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at what is awaited, when no message came. With jitter: many clients may wait."""

KEEP: Final = 30
"""Seconds for which a queue remembers that somebody waits. Each look begins them anew."""

LINGER: Final = 30.0
"""Seconds for which the subscription is kept when nobody waits any more."""

CHUNK: Final = 100
"""Tasks looked at by one call."""

OnProgress = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A task at one moment, as far as it matters to those who wait for its end."""

    state: str  #: `missing` when it is not there
    progress: bytes | None = None  #: as it is stored
    result: bytes | None = None  #: as it is stored; of completed tasks only
    error: str = ""
    reason: str = ""  #: why it is archived
    how: str = ""  #: of a missing one, how it ended: done, revoked, expired; empty when we were not told
    was_there: bool = False  #: whether an earlier look saw the task

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in ("completed", "archived", "missing")


@dataclass(slots=True, eq=False)
class _Watch:
    """A task that somebody here waits for, and all who do."""

    queue: str
    id: str
    key: str
    waiting: set[asyncio.Event] = field(default_factory=set[asyncio.Event])
    seen: Seen | None = None
    failure: AsyncqError | None = None
    how: str = ""
    wants_progress: bool = False

    @property
    def is_over(self) -> bool:
        return self.failure is not None or (self.seen is not None and self.seen.is_over)

    def tell(self) -> None:
        for event in self.waiting:
            event.set()


class Results:
    """The area of waiting for tasks."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._channel: Final = basis.wire.keys.channel(basis.owner)
        self._watches: dict[str, _Watch] = {}  # by the key of the task
        self._due: dict[str, dict[_Watch, None]] = {}  # to be looked at, by queue
        self._looking: set[str] = set()  # queues that a look is under way for
        self._timer: asyncio.TimerHandle | None = None
        self._errands: Final = Errands()
        self._listening: asyncio.Task[None] | None = None
        self._last_needed = 0.0

    async def look(self, queue: str, task_id: str) -> Seen:
        """See what became of a task by now, without waiting."""
        keys = self._basis.queue(queue)
        reply: Any = await self._basis.run(
            AWAIT, [keys.awaited, keys.task(task_id)], ["", KEEP], slot=self._basis.slot(queue)
        )
        return _read(self._basis.wire, reply[0])

    async def wait(self, queue: str, task_id: str, on_progress: OnProgress | None = None) -> Seen:
        """Wait until a task is over, and return how it is then.

        Args:
            queue: Its queue.
            task_id: Its id.
            on_progress: Called with each progress report that is seen. What it raises ends the wait.

        Raises:
            BrokerError: Redis could not be asked for as long as the patience lasts.
            ClosedError: The client was closed meanwhile.
        """
        key = self._basis.queue(queue).task(task_id)
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch(queue, task_id, key)
        watch.wants_progress |= on_progress is not None
        news = asyncio.Event()
        watch.waiting.add(news)
        shown: bytes | None = None
        try:
            self._look(watch)
            while True:
                await news.wait()
                news.clear()
                seen = watch.seen
                if on_progress is not None and seen is not None and seen.progress not in (None, shown):
                    shown = seen.progress
                    on_progress(shown or b"")
                if watch.failure is not None:
                    # One object for all would collect the traceback of everybody who waits.
                    raise type(watch.failure)(*watch.failure.args)
                if seen is not None and seen.is_over:
                    return seen
        finally:
            watch.waiting.discard(news)
            if not watch.waiting and not watch.is_over:
                self._dismiss(watch)

    async def aclose(self) -> None:
        """Wait for nothing any more; whoever still does gets a `ClosedError`. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for watch in list(self._watches.values()):
            self._end(watch, failure=ClosedError("the client"))
        await self._errands.cancel()

    # -- looking ----------------------------------------------------------------------------------

    def _look(self, watch: _Watch) -> None:
        self._due.setdefault(watch.queue, {})[watch] = None
        if watch.queue not in self._looking:
            # At the end of this turn of the loop, so that those who begin to wait together share a call.
            self._looking.add(watch.queue)
            asyncio.get_running_loop().call_soon(self._send, watch.queue)

    def _send(self, queue: str) -> None:
        due = [watch for watch in self._due.pop(queue, {}) if not watch.is_over]
        if not due:
            self._looking.discard(queue)
            return
        watches = due[:CHUNK]
        if len(due) > CHUNK:
            self._due[queue] = dict.fromkeys(due[CHUNK:])
        basis = self._basis
        keys = [basis.queue(queue).awaited, *(watch.key for watch in watches)]

        def on_value(reply: Any) -> None:
            for watch, one in zip(watches, reply, strict=True):
                self._saw(watch, one)
            self._send(queue)

        def on_failure(error: AsyncqError) -> None:
            for watch in watches:
                self._end(watch, failure=error)
            self._send(queue)

        basis.router.submit(
            Call(
                basis.router,
                AWAIT,
                (len(keys), *keys, self._channel, KEEP),
                slot=basis.slot(queue),
                patience=basis.patience,
                on_value=on_value,
                on_failure=on_failure,
            )
        )

    def _saw(self, watch: _Watch, one: list[Any]) -> None:
        before = watch.seen
        seen = _read(self._basis.wire, one, how=watch.how, was_there=before is not None)
        if watch.is_over:
            # Nobody waits for it any more, but the look was on its way and has left a mark.
            if not seen.is_over and watch.key not in self._watches:
                self._unmark(watch)
            return
        watch.seen = seen
        if seen.is_over:
            self._end(watch)
            return
        self._keep_looking()
        if before is None or before.progress != seen.progress:
            watch.tell()

    def _end(self, watch: _Watch, *, failure: AsyncqError | None = None) -> None:
        # Who comes later begins with a new watch.
        if self._watches.get(watch.key) is watch:
            del self._watches[watch.key]
        if not watch.is_over:
            watch.failure = failure
        watch.tell()

    def _dismiss(self, watch: _Watch) -> None:
        """Nobody waits for it any more: the task need not tell us."""
        self._end(watch, failure=ClosedError("the wait"))
        if watch.seen is not None:
            self._unmark(watch)

    def _unmark(self, watch: _Watch) -> None:
        basis = self._basis
        basis.router.submit(
            Call(
                basis.router,
                DISMISS,
                (1, watch.key, self._channel),
                slot=basis.slot(watch.queue),
                patience=0.0,
                on_value=_nothing,
                on_failure=_nothing,
            )
        )

    # -- being told -------------------------------------------------------------------------------

    def _keep_looking(self) -> None:
        """Something is not over yet: listen, and look again after a while."""
        loop = asyncio.get_running_loop()
        self._last_needed = loop.time()
        if self._listening is None:
            subscription = Subscription(
                self._basis.router,
                (self._channel,),
                name=f"asyncq:results:{self._basis.owner}",
                on_message=self._on_message,
                on_listening=self._look_at_all,
            )
            self._listening = self._errands.start(subscription.run(), name="results")
        if self._timer is None:
            self._timer = loop.call_later(LOOK_EVERY * random.uniform(0.75, 1.25), self._tick)

    def _tick(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._watches:
            self._last_needed = loop.time()
            self._look_at_all()
        elif loop.time() - self._last_needed >= LINGER and self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if self._listening is not None:
            self._timer = loop.call_later(LOOK_EVERY * random.uniform(0.75, 1.25), self._tick)

    def _look_at_all(self) -> None:
        for watch in self._watches.values():
            self._look(watch)

    def _on_message(self, channel: bytes, data: bytes) -> None:  # noqa: ARG002 - there is one channel
        word, _, rest = data.decode("utf-8", "replace").partition(" ")
        if word == "ended":
            how, _, key = rest.partition(" ")
            watch = self._watches.get(key)
            if watch is not None:
                watch.how = how
                self._look(watch)
        elif word == "progress":
            watch = self._watches.get(rest)
            if watch is not None and watch.wants_progress:
                self._look(watch)


def _read(wire: Wire, one: Iterable[Any], *, how: str = "", was_there: bool = False) -> Seen:
    state, progress, result, error, reason = one
    state = state.decode()
    return Seen(
        state,
        progress=progress,
        result=result and wire.result(result),
        error=(error or b"").decode("utf-8", "replace"),
        reason=(reason or b"").decode("utf-8", "replace"),
        how=how if state == "missing" else "",
        was_there=was_there,
    )


def _nothing(_: object) -> None:
    """Nobody waits for this answer."""
