"""One look at many places, of which some may be on a node of a cluster that is away.

What an operator asks is about many queues, servers or nodes, and a node that is away is when they look.
A round asks all at the same time, keeps what is answered, and notes what is not.

The wait is one patience, however many places lie on the node: it is over when the node has answered
nothing for so long, whatever it is asked. So a question that takes long on a node that works may take
long. A node that was found away is not waited for again in the same round; in the next one it is asked
for a sign of life first, and gets a moment for it.

Without a cluster there is one place: its calls are made as ever, and the first error is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from asyncq._broker.basis import Basis
from asyncq.connection import Address
from asyncq.errors import BrokerUnavailableError, Missing, PartlyUnavailableError

SIGN_OF_LIFE: Final = 1.0
"""Seconds for an answer to PING, of a node that did not answer before."""

LOOKS: Final = 4
"""How often a node that owes an answer is asked for a sign of life in the time of one patience."""

REFUSES_ALL: Final = ("CLUSTERDOWN", "MASTERDOWN", "LOADING", "BUSY")
"""Replies that any question gets from a node that is there: it is as good as away."""

_T = TypeVar("_T")

What = Literal["queue", "server", "scheduler", "entry", "node", "index"]


@dataclass(frozen=True, slots=True)
class Question(Generic[_T]):
    """One call, and what is missing when it is not answered."""

    what: What
    names: Sequence[str]
    place: int | Address  #: the slot it is about, or the node
    ask: Callable[[], Awaitable[_T]]


class Round:
    """One look at many places.

    Args:
        basis: The way to Redis.
        partial: Whether what can be had is wanted, if not all can be.
        within: Seconds to wait for a node, if not as long as the patience of the basis.
    """

    def __init__(self, basis: Basis, *, partial: bool, within: float | None = None) -> None:
        self._basis: Final = basis
        self._partial: Final = partial
        connect_timeout = basis.router.options.connect_timeout
        self.bound: Final = max(basis.patience, connect_timeout) if within is None else within
        self._away: Final[dict[Address, BrokerUnavailableError]] = {}
        self._looking: Final[dict[Address, asyncio.Lock]] = {}
        self._greeted: Final[set[Address]] = set()
        self._missing: Final[list[Missing]] = []
        self._first_error: BrokerUnavailableError | None = None
        self._is_answered = False

    async def each(self, questions: Iterable[Question[_T]]) -> list[_T]:
        """Ask all at the same time, and return the answers there are.

        Raises:
            BrokerUnavailableError: Not all were answered, and that is not enough.
        """
        answers: list[_T] = []
        asking = [self._ask(question, answers.append) for question in questions]
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        if not self._partial:
            self.end()
        return answers

    async def one(self, question: Question[_T]) -> _T | None:
        """Ask one question, whose answer is not `None`; `None` when it was not answered."""
        answers = await self.each([question])
        return answers[0] if answers else None

    def sort(self, answers: Mapping[Address, Any]) -> dict[Address, Any]:
        """Take what nodes were asked outside this round: return the answers, note the errors."""
        found: dict[Address, Any] = {}
        for address, answer in answers.items():
            if isinstance(answer, BrokerUnavailableError):
                self.lack("node", [str(address)], address, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._is_answered = True
                found[address] = answer
        if not self._partial:
            self.end()
        return found

    def lack(
        self, what: What, names: Sequence[str], node: Address | None, error: BrokerUnavailableError
    ) -> None:
        """Note that something could not be looked at."""
        where = error.where if node is None else str(node)
        self._first_error = self._first_error or error
        self._missing.extend(Missing(what, name, where, error.why) for name in names)

    def why_away(self, node: Address) -> BrokerUnavailableError | None:
        """Why this round does not wait for the node any more; `None` when it does."""
        return self._away.get(node)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What is missing so far, also where that is all there would be."""
        return tuple(self._missing)

    def end(self) -> tuple[Missing, ...]:
        """What is missing.

        Raises:
            BrokerUnavailableError: Nothing at all was answered; then this is why.
            PartlyUnavailableError: Something was not, and that is not enough.
        """
        if self._first_error is not None and not self._is_answered:
            raise self._first_error
        if self._missing and not self._partial:
            where = self._basis.router.where
            raise PartlyUnavailableError(where, self._missing, "partial=True gives what the others hold")
        return tuple(self._missing)

    async def _ask(self, question: Question[_T], take: Callable[[_T], None]) -> None:
        if not self._basis.router.is_cluster:
            take(await question.ask())
            self._is_answered = True
            return
        try:
            await self._skip_away(question)
            answer = await self._wait_for(question)
        except BrokerUnavailableError as error:
            node = self._owner(question)
            if node is not None and node not in self._away:
                if await self._silence_of(node) is not None:
                    self._mark_away(node, error)
                elif error.why.startswith(REFUSES_ALL):
                    self._away[node] = error
            self.lack(question.what, question.names, node, error)
        else:
            take(answer)
            self._is_answered = True
            self._basis.away.discard(self._owner(question))

    def _owner(self, question: Question[Any]) -> Address | None:
        place = question.place
        return place if isinstance(place, Address) else self._basis.router.owner(place)

    async def _skip_away(self, question: Question[Any]) -> None:
        """Do not wait for a node that is known to be away, unless it is back or another one took over.

        Raises:
            BrokerUnavailableError: Neither is so.
        """
        node = self._owner(question)
        if node is None or not (node in self._away or (self._partial and node in self._basis.away)):
            return
        async with self._looking.setdefault(node, asyncio.Lock()):
            if node not in self._away and node not in self._greeted:
                await self._greet(node, question.place)
        node = self._owner(question)
        if node in self._away:
            raise self._away[node]

    async def _greet(self, node: Address, place: int | Address) -> None:
        error = await self._silence_of(node)
        if error is None:
            self._greeted.add(node)
            return
        self._mark_away(node, error)
        if isinstance(place, int):
            self._basis.router.doubt(node)
            await self._basis.router.address_of(place)

    async def _wait_for(self, question: Question[_T]) -> _T:
        """Wait for an answer, as long as the node answers anything at all within one patience."""
        time = asyncio.get_running_loop().time
        answer = asyncio.ensure_future(_called(question))
        heard = time()
        try:
            while not (await asyncio.wait((answer,), timeout=self.bound / LOOKS))[0]:
                node = self._owner(question)
                if node is None:
                    continue  # the nodes are asked who serves it, each for as long as a connection may take
                error = self._away.get(node) or await self._silence_of(node)
                if error is None:
                    heard = time()
                elif time() - heard >= self.bound and not answer.done():
                    self._mark_away(node, error)
                    raise error
            return answer.result()
        finally:
            answer.cancel()

    async def _silence_of(self, node: Address) -> BrokerUnavailableError | None:
        """Why a node gives no sign of life; `None` when it does."""
        answer = await self._basis.router.ask_in_vain(node, "PING", within=min(SIGN_OF_LIFE, self.bound))
        return answer if isinstance(answer, BrokerUnavailableError) else None

    def _mark_away(self, node: Address, error: BrokerUnavailableError) -> None:
        self._away.setdefault(node, error)
        self._basis.away.add(node)


async def _called(question: Question[_T]) -> _T:
    return await question.ask()
