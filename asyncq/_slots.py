"""Slots of semaphores, as one owner sees them: takes them, waits for them, keeps them, gives them back.

The owner is a server, or one `asyncq.Semaphore` in a program without a server. What it holds is
prolonged by a keeper. In a server the keeper runs in the thread of the vitals, so that a handler which
blocks the event loop keeps its slot as it keeps its lease; and a slot that was taken for a delivery is
prolonged only while the delivery is held: it dies with its task's lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from asyncq._broker.semaphores import CALLED, Semaphores
from asyncq._broker.together import together
from asyncq._logs import SERVER_LOG, Log
from asyncq._service import Errands, Service
from asyncq.errors import AsyncqError, ClosedError, ConfigError
from asyncq.limit import Limit, Place

POLL: Final = 1.0
"""Seconds after which a waiter asks although nobody called it."""

AHEAD: Final = 0.002
"""Seconds after which a slot that runs out has run out, also by a clock that is rounded."""

STAND: Final = 3.0
"""Seconds for which a waiter keeps its place without a word. One that died blocks others no longer."""


class Held:
    """A slot that is held."""

    __slots__ = ("delivery", "is_lost", "limit", "on_lost", "token")

    def __init__(self, limit: Limit, token: str, delivery: str) -> None:
        self.limit = limit
        self.token = token
        self.delivery = delivery  #: token of the delivery it was taken for, or empty
        self.is_lost = False
        self.on_lost: Callable[[], object] | None = None


class Slots:
    """Takes slots, waits for them, and knows which are held. Lives in one event loop."""

    def __init__(
        self,
        semaphores: Semaphores,
        *,
        owner: str,
        lease: float,
        place: Place,
        is_current: Callable[[str], bool] = lambda _: False,
        log: Log = SERVER_LOG,
    ) -> None:
        self._semaphores: Final = semaphores
        self._owner: Final = owner
        self._lease: Final = lease
        self.is_current: Final = is_current  #: tells whether a delivery is held
        self.place: Final = place
        self._log: Final = log
        self.loop: Final = asyncio.get_running_loop()
        self._errands: Final = Errands()
        self._held: dict[str, Held] = {}
        self._calls: dict[str, asyncio.Event] = {}
        self._last = 0
        self._taking = 0
        self._nobody_takes: Final = asyncio.Event()
        self._nobody_takes.set()
        self._is_closed = False
        self.on_waiting: Callable[[], None] | None = None  #: told when somebody waits
        self.on_held: Callable[[], None] | None = None  #: told when one was taken

    @property
    def is_here(self) -> bool:
        """Whether this is its event loop. A handler in a thread may run one of its own."""
        return asyncio.get_running_loop() is self.loop

    def check(self, limits: Iterable[Limit]) -> None:
        """Refuse limits whose slots are elsewhere: this server would count by itself.

        Raises:
            ConfigError: One of them was made for another Redis or prefix.
        """
        for limit in limits:
            if limit.place is not None and limit.place != self.place:
                expected = "a semaphore in the Redis and under the prefix of the server; or a Limit"
                raise ConfigError("limit", limit, expected)

    def keeper(self, semaphores: Semaphores) -> SlotKeeper:
        """What prolongs the slots; may run in another thread, with a connection of its own."""
        tell = self.loop.call_soon_threadsafe
        return SlotKeeper(
            semaphores,
            self.snapshot,
            lease=self._lease,
            is_current=self.is_current,
            on_gone=lambda gone: tell(self.gone, gone),
            on_dropped=lambda held: tell(self.drop, held),
        )

    # -- taking ------------------------------------------------------------------------------------

    def new_token(self) -> str:
        """A token that nobody else has. It begins with the owner, who is called by it."""
        self._last += 1
        return f"{self._owner}:s{self._last}"

    async def take(self, limit: Limit, *, seconds: float, token: str = "", delivery: str = "") -> Held | None:
        """Take a slot, waiting for so many seconds if there is none. `None` when there was none.

        A cancellation, or a Redis that cannot be reached, leaves nothing behind but what runs out by itself.

        Raises:
            ClosedError: This was closed meanwhile.
        """
        token = token or self.new_token()
        call = asyncio.Event()
        give_up_at = self.loop.time() + seconds
        if seconds > 0:
            self._calls[token] = call
        self._begin_taking()
        try:
            while True:
                call.clear()
                wait = await self._ask(limit, token, give_up_at - self.loop.time())
                if wait is None:
                    return self._keep(Held(limit, token, delivery))
                if seconds > 0 and self.on_waiting is not None:
                    self.on_waiting()
                if self.loop.time() + wait >= give_up_at:
                    wait = give_up_at - self.loop.time()
                    if wait <= 0:
                        return None
                try:
                    async with asyncio.timeout(wait):
                        await call.wait()
                except TimeoutError:
                    pass
        except BaseException:
            # The call may have arrived. Nobody waits for this one, and it follows that one.
            self._errands.start(self._free(limit.scope, token), name="slot")
            raise
        finally:
            self._calls.pop(token, None)
            self._end_taking()

    def _begin_taking(self) -> None:
        self._taking += 1
        self._nobody_takes.clear()

    def _end_taking(self) -> None:
        self._taking -= 1
        if not self._taking:
            self._nobody_takes.set()

    async def _ask(self, limit: Limit, token: str, left: float) -> float | None:
        """Ask once. Returns how long to wait before asking again; `None` when the slot is ours."""
        while True:
            asked_at = self.loop.time()
            found = await self._semaphores.acquire(
                limit.scope,
                token,
                maximum=limit.maximum,
                lease=self._lease,
                stand=STAND if left > 0 else 0.0,
            )
            if self._is_closed:
                # What was just given back must not be taken again by one of our own who waited.
                raise ClosedError("the semaphore")
            if not found.free:
                wait = random.uniform(POLL * 0.7, POLL)
                return wait if found.wait is None else min(wait, found.wait + AHEAD)
            if self.loop.time() - asked_at < self._lease / 2:
                return None
            # An answer that was long in coming may be about a slot that has run out since.

    def _keep(self, held: Held) -> Held:
        self._held[held.token] = held
        if self.on_held is not None:
            self.on_held()
        return held

    def called(self, message: bytes) -> None:
        """A message came: there may be a slot for one who waits."""
        call = self._calls.get(message[len(CALLED) :].decode())
        if call is not None:
            call.set()

    def call_all(self) -> None:
        """Messages may have been missed: let everybody ask."""
        for call in self._calls.values():
            call.set()

    # -- holding and giving back ---------------------------------------------------------------------

    def snapshot(self) -> list[Held]:
        """What is held at this moment. May be called from another thread."""
        return list(self._held.values())

    def give_back(self, held: Held) -> asyncio.Task[None] | None:
        """Give a slot back. Returns what can be waited for, and need not be; `None` if it was given back."""
        if self._held.pop(held.token, None) is None:
            return None
        return self._errands.start(self._free(held.limit.scope, held.token), name="slot")

    def drop(self, held: Held) -> None:
        """The delivery it was taken for is over, or somebody else's."""
        if self.give_back(held) is not None:
            self._tell(held)

    def _tell(self, held: Held) -> None:
        held.is_lost = True
        if held.on_lost is not None:
            held.on_lost()

    async def _free(self, scope: str, token: str) -> None:
        try:
            await self._semaphores.release(scope, token)
        except AsyncqError as error:
            self._log.warning(
                "a slot of semaphore %r could not be given back and stays taken until it runs out: %s",
                scope,
                error,
                extra={"event": "semaphore_unreleased", "scope": scope},
            )

    def gone(self, missing: Sequence[Held]) -> None:
        """These hold no slot any more, says Redis. If they should, they take one again or are told."""
        for held in missing:
            if held.token in self._held:
                self._errands.start(self._take_again(held), name="slot")

    async def _take_again(self, held: Held) -> None:
        limit = held.limit
        try:
            found = await self._semaphores.acquire(
                limit.scope, held.token, maximum=limit.maximum, lease=self._lease, stand=0.0
            )
        except AsyncqError:
            return  # the keeper asks again
        if self._held.get(held.token) is not held:
            if found.free:
                await self._free(limit.scope, held.token)
        elif not found.free:
            del self._held[held.token]
            self._log.error(
                "a slot of semaphore %r was lost while it was held",
                limit.scope,
                extra={"event": "semaphore_lost", "scope": limit.scope},
            )
            self._tell(held)

    async def aclose(self, patience: float) -> None:
        """Give everything back that is still held, end every wait, and wait for that so many seconds."""
        self._is_closed = True
        for held in self.snapshot():
            self.give_back(held)
        self.call_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._nobody_takes.wait()
        await self._errands.finish(patience)
        await self._errands.cancel(patience)


class SlotKeeper(Service):
    """Keeps the slots that are held.

    Each tick:

    1. drops those whose delivery is not held any more;
    2. prolongs the others, one call for each semaphore;
    3. reports those that are gone.
    """

    def __init__(
        self,
        semaphores: Semaphores,
        snapshot: Callable[[], list[Held]],
        *,
        lease: float,
        is_current: Callable[[str], bool],
        on_gone: Callable[[list[Held]], object],
        on_dropped: Callable[[Held], object],
    ) -> None:
        super().__init__("slot keeper")
        self.longest_delay = min(self.longest_delay, lease / 6)
        self._semaphores: Final = semaphores
        self._snapshot: Final = snapshot
        self._lease: Final = lease
        self._is_current: Final = is_current
        self._on_gone: Final = on_gone
        self._on_dropped: Final = on_dropped

    async def tick(self) -> float:
        by_scope: dict[str, dict[str, Held]] = {}
        for held in self._snapshot():
            if held.delivery and not self._is_current(held.delivery):
                self._on_dropped(held)
            else:
                by_scope.setdefault(held.limit.scope, {})[held.token] = held
        await together([self._prolong(scope, tokens) for scope, tokens in by_scope.items()])
        return self._lease / 3

    async def _prolong(self, scope: str, tokens: dict[str, Held]) -> None:
        lost = await self._semaphores.prolong(scope, list(tokens), lease=self._lease)
        if lost:
            self._on_gone([tokens[token] for token in lost])
