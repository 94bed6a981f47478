"""Go and Python on one tube: every message is handled, by one of them, once."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.driving import Driven
from tests.support.servers import RedisProcess
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.parts import SIDES, Parts

from .dq import beanstalks, consumer, emptied, handled

SECOND = 10**9
EACH = 150


async def put(producer: Driven, name: str) -> set[bytes]:
    """Put messages, due at once and in a second and two; return what they say."""
    bodies = [f"{name}{number} sleep 5ms".encode() for number in range(EACH)]
    for number, body in enumerate(bodies):
        await producer("delay", payload=body, ns=number % 3 * SECOND)
    return set(bodies)


@pytest.mark.parametrize("ack", ["late", "early"])
async def test_both_languages_share_a_tube(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess, ack: str
) -> None:
    """Producers and consumers of both at once: all are handled, and nobody handles what another one did."""
    conf = consumer(nodes, locks)
    go = await parts("go", "dq-consume", **conf)
    python = await parts("python", "dq-consume", **conf, Options={"ack": ack})
    producers = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
    put_ = await asyncio.gather(*[put(one, side) for one, side in zip(producers, SIDES, strict=True)])
    expected = set().union(*put_)
    await emptied(nodes)
    await go.until(lambda: len(go.seen("begin")) == len(go.seen("end")), "Go to finish")
    await python.until(lambda: len(python.seen("begin")) == len(python.seen("end")), "Python to finish")
    assert handled(go, python) == dict.fromkeys(expected, 1)
    assert len(handled(go)) > EACH // 10, "Go had no share"
    assert len(handled(python)) > EACH // 10, "Python had no share"


async def test_each_revokes_what_the_other_has_put(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """The ids are the same text."""
    go, python = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
    for one, other in ((go, python), (python, go)):
        await other("revoke", ids=await one("delay", payload=b"x", ns=60 * SECOND))
    await emptied(nodes, timeout=1)


async def test_the_same_message_of_both_is_one(
    parts: Parts, nodes: list[BeanstalkdNode], locks: RedisProcess
) -> None:
    """They name a moment and a body alike, and so agree on the key."""
    producers = [await parts(side, "dq-produce", beanstalks=beanstalks(nodes)) for side in SIDES]
    due = (time.time_ns() // SECOND + 5) * SECOND
    for producer in producers:
        await producer("at", payload=b"x", unix_ns=due)
    consumers = [await parts(side, "dq-consume", **consumer(nodes, locks)) for side in SIDES]
    await emptied(nodes)
    for one in consumers:
        await one.until(lambda one=one: len(one.seen("begin")) == len(one.seen("end")), "an end")
    assert handled(*consumers) == {b"x": 1}
