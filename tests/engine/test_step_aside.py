"""A server that passes a message on must not lose its own place by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from asyncq._broker.basis import Basis
from asyncq._broker.deliver import Deliver, Delivery
from asyncq._engine.fetcher import Fetcher
from asyncq._wire.keys import Keys, QueueKeys

NOT_COMING = 3600.0


@dataclass
class _Names:
    """The area of names, without a connection."""

    keys: Keys = field(default_factory=Keys)

    def queue(self, name: str) -> QueueKeys:
        return self.keys.queue(name)

    def by_slot(self, queues: Iterable[str]) -> Mapping[int, list[str]]:
        return {0: list(queues)}


@dataclass
class _Redis:
    """Keeps what is asked, to be answered in whatever order a test wants."""

    requests: list[Callable[[list[Delivery]], None]] = field(default_factory=list)
    errands: list[Callable[[], None]] = field(default_factory=list)

    def request(
        self,
        asks: object,
        want: int,
        *,
        lane: int,
        on_delivered: Callable[[list[Delivery]], None],
        on_failure: object,
    ) -> None:
        del asks, want, lane, on_failure
        self.requests.append(on_delivered)

    def step_aside(self, names: Sequence[str], *, on_done: Callable[[], None]) -> None:
        del names
        self.errands.append(on_done)


async def test_a_server_asks_again_after_it_stepped_aside() -> None:
    """The errand was sent again, after a request that was sent later, and took away its place.

    Seen with a Redis that did not know the script yet: EVALSHA was answered NOSCRIPT, the request
    behind it was carried out, then the EVAL. Delayed tasks waited for the safety poll, 5 s.
    """
    redis = _Redis()
    taken: list[Any] = []
    fetcher = Fetcher(
        cast("Basis", _Names()),
        cast("Deliver", redis),
        {"default": 1},
        strict=False,
        interval=NOT_COMING,
        lease=NOT_COMING,
        concurrency=1,
        free=lambda: 1,
        take=taken.extend,
        give_back=taken.extend,
    )
    fetcher.start()
    await asyncio.sleep(0)
    first = redis.requests.pop()
    fetcher.wake(b"asyncq:{default}:waiting")  # overtakes the answer: passed on
    errand = redis.errands.pop()
    first([])
    await asyncio.sleep(0)
    redis.requests.pop()([])  # found nothing, and stands in `waiting` now
    await asyncio.sleep(0)
    assert not redis.requests

    errand()  # only now: it stands there no more
    await asyncio.sleep(0)
    assert len(redis.requests) == 1

    redis.requests.pop()([])
    stopping = asyncio.ensure_future(fetcher.stop())
    while not stopping.done():
        await asyncio.sleep(0)
        while redis.errands:
            redis.errands.pop()()
