"""A semaphore that all processes share: at most so many of them do a thing at the same time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self, cast

from asyncq._broker.broker import Broker
from asyncq._broker.semaphores import CALLED, Occupancy
from asyncq._clock import seconds
from asyncq._compose import new_id
from asyncq._redis.subscription import Subscription
from asyncq._service import Errands
from asyncq._slots import Held, Slots
from asyncq.connection import ConnectionOptions
from asyncq.context import Context, find_context
from asyncq.errors import ClosedError, ConfigError, NoSlotError, SlotLostError
from asyncq.limit import Limit, Place
from asyncq.shared import Connection, read_connection

__all__ = ["Holder", "Occupied", "Semaphore", "Slot"]

DEFAULT_LEASE: Final = 30.0
DEFAULT_PATIENCE: Final = 10.0
_ID_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot."""

    token: str  #: begins with the id of the server, or of the semaphore, that holds it
    expires_in: float  #: seconds for which it is held unless it is prolonged


@dataclass(frozen=True, slots=True)
class Occupied:
    """Who holds slots of a semaphore at a moment, and how many wait for one."""

    count: int  #: slots that are held
    waiting: int
    holders: tuple[Holder, ...]  #: the first thousand, by when they run out


class Slot:
    """A slot that is held, until it is released or lost. Made by `Semaphore`.

    As a context manager it is released at the end of the block. If it is lost before that, the block
    is stopped as a time-out stops it, and `SlotLostError` comes out.
    """

    def __init__(self, slots: Slots, held: Held) -> None:
        self._slots: Final = slots
        self._held: Final = held
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_stopped = False
        held.on_lost = self._lost

    @property
    def scope(self) -> str:
        """The name of the semaphore."""
        return self._held.limit.scope

    @property
    def token(self) -> str:
        """By which it is known in Redis."""
        return self._held.token

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may hold it: Redis was away, or we were frozen, for longer than a lease."""
        return self._held.is_lost

    async def release(self) -> None:
        """Give it back, and return when it is free. May be called twice.

        If Redis cannot be reached it stays taken until its lease is over; the log says so.
        """
        release = self._slots.give_back(self._held)
        if release is not None:
            await asyncio.shield(release)

    async def __aenter__(self) -> Self:
        if self.is_lost:
            raise SlotLostError(self.scope)
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        try:
            await self.release()
        finally:
            if self._is_stopped and task is not None:
                self._is_stopped = False
                is_ours = task.uncancel() <= self._cancelling
                if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                    raise SlotLostError(self.scope) from error

    def _lost(self) -> None:
        if self._task is not None and not self._is_stopped:
            self._is_stopped = True
            self._task.cancel()

    def __repr__(self) -> str:
        return f"<Slot of {self.scope!r}{' (lost)' if self.is_lost else ''}>"


class Semaphore:
    """At most `maximum` holders at the same time, over all processes that name the same scope.

        bank = Semaphore("redis://localhost:6379/0", "bank", 5)

        async with bank:
            await transfer()

    Each slot is held under a lease that is prolonged while its holder lives, so the slots of a process
    that was killed get free within a lease and a second. In a handler whose server has the same Redis
    and prefix, a slot belongs to the delivery: the server prolongs it together with the lease of the
    task, also while a handler blocks the event loop, and it dies with that lease.

    Who waits is served in order. Nothing is connected before the first use; `aclose` closes it.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        scope: The name of what is limited. Not blank, no braces.
        maximum: How many may hold a slot. Processes that say different numbers each go by their own.
        lease: Seconds after which the slots of a process that vanished are free; in a handler it is
            the lease of the server. At least 1.
        patience: Seconds for which a call is sent again while Redis cannot be reached.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        url: str | ConnectionOptions | Connection,
        scope: str,
        maximum: int,
        *,
        lease: float | timedelta = DEFAULT_LEASE,
        patience: float | timedelta = DEFAULT_PATIENCE,
        prefix: str | None = None,
        wire: str | None = None,
    ) -> None:
        self._connection, self._owns_connection = read_connection(url, prefix, wire)
        self.limit: Final = Limit(scope, maximum, place=self._place())
        self._connection._tell_when_redirected(self._follow)
        self._lease: Final = seconds(lease, name="lease")
        if not 1.0 <= self._lease < math.inf:
            raise ConfigError("lease", lease, "one second or more, and an end")
        self._patience: Final = seconds(patience, name="patience")
        self._own: _Own | None = None
        self._is_closed = False
        # A semaphore is entered by many tasks at the same time, and by one several times.
        self._entered: dict[asyncio.Task[object] | None, list[Slot]] = {}

    def _place(self) -> Place:
        return Place(self._connection.options, self._connection.wire.keys.prefix)

    def _follow(self) -> None:
        """The connection leads elsewhere now. Muxes have the limit already, so it is changed in place."""
        object.__setattr__(self.limit, "place", self._place())

    @property
    def scope(self) -> str:
        """The name of what is limited."""
        return self.limit.scope

    @property
    def maximum(self) -> int:
        """How many may hold a slot."""
        return self.limit.maximum

    async def acquire(self, timeout: float | timedelta | None = None) -> Slot:
        """Take a slot, waiting for one if there is none.

            async with await bank.acquire(timeout=5):
                ...

        Args:
            timeout: How long to wait; for ever when not given.

        Raises:
            NoSlotError: None became free in that time. Nothing is held.
            BrokerUnavailableError: Redis was not reached.
        """
        limit = math.inf if timeout is None else seconds(timeout, name="timeout")
        slot = await self._take(limit)
        if slot is None:
            raise NoSlotError(self.scope, limit)
        return slot

    async def try_acquire(self) -> Slot | None:
        """Take a slot if one is free, and nobody waits for it. `None` if not.

        Raises:
            BrokerUnavailableError: Redis was not reached.
        """
        return await self._take(0.0)

    @asynccontextmanager
    async def slot(self, timeout: float | timedelta | None = None) -> AsyncGenerator[Slot]:
        """Hold a slot for the length of a block.

        Args:
            timeout: How long to wait for it; for ever when not given.

        Raises:
            NoSlotError: None became free in that time; the block was not entered.
            SlotLostError: The slot was lost in the block, which was stopped.
        """
        async with await self.acquire(timeout) as slot:
            yield slot

    async def __aenter__(self) -> Slot:
        slot = await self.acquire()
        self._entered.setdefault(asyncio.current_task(), []).append(slot)
        return await slot.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        mine = self._entered[task]
        slot = mine.pop()
        if not mine:
            del self._entered[task]
        await slot.__aexit__(kind, error, trace)

    async def held(self) -> Occupied:
        """Say who holds slots now, and how many wait."""
        found: Occupancy = await self._owned().broker.semaphores.holders(self.scope)
        holders = tuple(Holder(one.token, one.seconds) for one in found.tenures)
        return Occupied(found.held, found.waiting, holders)

    async def aclose(self) -> None:
        """Give back what is held, and close. May be called twice. Slots of handlers stay with them."""
        self._is_closed = True
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()
        if self._owns_connection:
            await self._connection.aclose()

    async def _take(self, limit: float) -> Slot | None:
        if self._is_closed:
            raise ClosedError("the semaphore")
        slots, delivery = self._of_handler(find_context())
        if slots is None:
            slots = self._owned().slots
        held = await slots.take(self.limit, seconds=limit, delivery=delivery)
        return None if held is None else Slot(slots, held)

    def _of_handler(self, context: Context | None) -> tuple[Slots | None, str]:
        """The slots of the server that runs the handler we are in, and its delivery."""
        slots = slots_at(context, self.limit)
        if context is None or slots is None or not slots.is_here:
            return None, ""
        # What a handler left running is not bound to a delivery that is over.
        return slots, context.token if slots.is_current(context.token) else ""

    def _owned(self) -> _Own:
        if self._is_closed:
            raise ClosedError("the semaphore")
        router = self._connection.router()  # refuses another event loop
        if self._own is None:
            broker = Broker(
                router, self._connection.wire, owner=new_id()[:_ID_LENGTH], patience=self._patience
            )
            self._own = _Own(broker, cast("Place", self.limit.place), self._lease)
        return self._own

    def __repr__(self) -> str:
        return f"<Semaphore {self.scope!r} maximum={self.maximum}>"


def slots_at(context: Context | None, limit: Limit) -> Slots | None:
    """The slots of the server that runs this handler, if those of the semaphore are in the same place."""
    slots = None if context is None else cast("Slots | None", context._host.slots)
    return slots if slots is not None and slots.place == limit.place else None


class _Own:
    """What a semaphore needs where no server keeps its slots."""

    def __init__(self, broker: Broker, place: Place, lease: float) -> None:
        self.broker: Final = broker
        self.slots: Final = Slots(broker.semaphores, owner=broker.owner, lease=lease, place=place)
        self._errands: Final = Errands()
        self._keeper: Final = self.slots.keeper(broker.semaphores)
        self.slots.on_waiting = self._listen
        self.slots.on_held = self._keep
        self._is_listening = False

    def _listen(self) -> None:
        """Somebody waits: be there for messages. What is missed before is made up for by asking."""
        if self._is_listening:
            return
        self._is_listening = True
        channel = self.broker.wire.keys.channel(self.broker.owner)
        subscription = Subscription(
            self.broker.router,
            (channel,),
            name=f"asyncq:semaphore:{self.broker.owner}",
            on_message=self._on_message,
            on_listening=self.slots.call_all,
        )
        self._errands.start(subscription.run(), name="semaphore listener")

    def _on_message(self, _: bytes, data: bytes) -> None:
        if data.startswith(CALLED):
            self.slots.called(data)

    def _keep(self) -> None:
        if not self._keeper.is_running:
            self._keeper.start(_broken)

    async def aclose(self) -> None:
        await self._keeper.stop()
        await self.slots.aclose(self.broker.basis.patience)
        await self._errands.cancel()


def _broken(error: BaseException) -> None:
    """The keeper failed three times in a row, and has logged why: slots run out, and say so when asked."""
