"""What a dq producer writes, and when it refuses: Go's, and ours in the same words."""

from __future__ import annotations

import re
import time

import pytest

from tests.support.driving import CallError
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.parts import SIDES, Parts, Side

from .dq import TUBE, beanstalks, produced

pytestmark = pytest.mark.parametrize("side", SIDES)

SECOND = 10**9


async def test_a_delayed_message_is_the_same_job_on_every_node(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """Nanoseconds of the due moment, a slash, the payload; priority 2, whole seconds of delay, 5 s to run."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    payload = b"order/7\r\n\x00\xff"
    before = time.time_ns()
    ids = await producer("delay", payload=payload, ns=1_900_000_000)
    after = time.time_ns()
    jobs = await produced(nodes, ids)
    assert {(job["pri"], job["delay"], job["ttr"], job["state"]) for job, _ in jobs} == {
        ("2", "1", "5", "delayed")
    }
    (body,) = {body for _, body in jobs}
    stamp, _, rest = body.partition(b"/")
    assert re.fullmatch(rb"\d{19}", stamp)
    assert before + 1_900_000_000 <= int(stamp) <= after + 1_900_000_000
    assert rest == payload


async def test_an_id_names_each_copy(parts: Parts, nodes: list[BeanstalkdNode], side: Side) -> None:
    """Endpoint, tube and number of the job, joined by commas in whatever order the nodes answered."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    await nodes[1].put(TUBE, b"makes the numbers differ")
    ids = await producer("delay", payload=b"x", ns=60 * SECOND)
    assert set(ids.split(",")) == {f"{node.endpoint}/{TUBE}/{2 if node is nodes[1] else 1}" for node in nodes}


async def test_a_moment_is_kept_exactly(parts: Parts, nodes: list[BeanstalkdNode], side: Side) -> None:
    """The node waits for whole seconds only, and so a little less."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    due = (time.time_ns() // SECOND + 90) * SECOND + 123_456_000
    for job, body in await produced(nodes, await producer("at", payload=b"x", unix_ns=due)):
        assert body == b"%d/x" % due
        assert 60 <= int(job["delay"]) <= 90


async def test_less_than_a_second_is_no_delay(parts: Parts, nodes: list[BeanstalkdNode], side: Side) -> None:
    """It is ready at once, with the stamp of later."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    for job, _ in await produced(nodes, await producer("delay", payload=b"x", ns=999_000_000)):
        assert (job["delay"], job["state"]) == ("0", "ready")


async def test_two_of_three_nodes_are_enough(parts: Parts, nodes: list[BeanstalkdNode], side: Side) -> None:
    """A message outlives the loss of either."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    await nodes[0].kill()
    ids = await producer("delay", payload=b"x", ns=60 * SECOND)
    assert {one.split("/")[0] for one in ids.split(",")} == {node.endpoint for node in nodes[1:]}


async def test_one_node_is_not_enough_and_its_copy_is_taken_back(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """What the caller was told has failed must not run."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    await nodes[0].kill()
    await nodes[1].kill()
    with pytest.raises(CallError):
        await producer("delay", payload=b"x", ns=60 * SECOND)
    assert await nodes[2].tube(TUBE) == {"ready": 0, "delayed": 0, "reserved": 0, "buried": 0, "deleted": 1}


async def test_a_node_that_takes_no_more_jobs_counts_as_one_that_is_down(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """Its administrator drains it before it goes; and what a node finds too big, all of them do."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    nodes[0].drain()
    ids = await producer("delay", payload=b"x", ns=60 * SECOND)
    assert len(ids.split(",")) == 2
    with pytest.raises(CallError):
        await producer("delay", payload=b"x" * 65_516, ns=60 * SECOND)
    assert await producer("delay", payload=b"x" * 65_515, ns=60 * SECOND)


async def test_more_than_three_nodes_get_three_copies(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side, start_node: object
) -> None:
    """Each message picks its three, so that the load is spread."""
    assert callable(start_node)
    five = [*nodes, await start_node(), await start_node()]
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(five))
    chosen: set[str] = set()
    for _ in range(40):
        places = [one.split("/")[0] for one in (await producer("delay", payload=b"x", ns=0)).split(",")]
        assert len(set(places)) == 3
        chosen.update(places)
    assert chosen == {node.endpoint for node in five}  # but for one time in a hundred million


async def test_the_past_and_a_negative_delay_are_refused(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """Nothing is written then."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    with pytest.raises(CallError, match="past"):
        await producer("at", payload=b"x", unix_ns=time.time_ns() - SECOND)
    with pytest.raises(CallError, match=r"negative|zero or a positive"):
        await producer("delay", payload=b"x", ns=-1)
    assert [await node.left(TUBE) for node in nodes] == [0, 0, 0]


async def test_a_producer_wants_two_different_nodes(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """One node is no backup of itself."""
    said = await parts.refusal(side, "dq-produce", beanstalks=beanstalks(nodes[:1]))
    assert re.search(r"equal or greater than 2|at least 2 nodes", said), said
    said = await parts.refusal(side, "dq-produce", beanstalks=beanstalks([nodes[0], nodes[0]]))
    assert "different" in said


async def test_what_was_revoked_is_gone_and_cannot_be_revoked_again(
    parts: Parts, nodes: list[BeanstalkdNode], side: Side
) -> None:
    """The second caller learns that there was nothing left to revoke."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(nodes))
    ids = await producer("delay", payload=b"x", ns=60 * SECOND)
    await producer("revoke", ids=ids)
    assert [await node.left(TUBE) for node in nodes] == [0, 0, 0]
    with pytest.raises(CallError, match=r"(?i)not.found"):
        await producer("revoke", ids=ids)


async def test_a_producer_finds_its_nodes_again(
    parts: Parts, durable_nodes: list[BeanstalkdNode], side: Side
) -> None:
    """Its connections are opened anew when they are wanted, after a crash and after `close`."""
    producer = await parts(side, "dq-produce", beanstalks=beanstalks(durable_nodes))
    await producer("delay", payload=b"1", ns=60 * SECOND)
    for node in durable_nodes:
        await node.restart()
    ids = ""
    for _ in range(2):  # Go notices with a message that the connection is gone, and connects for the next
        try:
            ids = await producer("delay", payload=b"2", ns=60 * SECOND)
        except CallError:
            continue
    assert len(ids.split(",")) == 3
    assert [await node.left(TUBE) >= 2 for node in durable_nodes] == [True, True, True]
