"""A scheduler rests and goes on as it was told last, by a call or by a signal, whenever that comes."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

from redis import Redis

from asyncq import Inspector, Scheduler, Task
from tests.support.waiting import wait_until

PENDING = "asyncq:{default}:pending"

_PROGRAM = """
import sys
from asyncq import Scheduler, Task
scheduler = Scheduler(sys.argv[1])
scheduler.register("@every 1s", Task("report"))
scheduler.run()
"""


async def test_a_stopped_scheduler_enqueues_nothing_and_stays(redis_url: str, redis_client: Redis) -> None:
    """For a deploy in which another one takes over before this one leaves."""
    async with Inspector(redis_url) as inspector:
        scheduler = Scheduler(redis_url)
        scheduler.register("@every 1s", Task("report"))
        async with scheduler.running():
            await scheduler.stop()
            scheduler.entries[0].next_at = datetime.now(UTC) - timedelta(seconds=5)
            scheduler.register("@every 1h", Task("other"))

            async def is_shown() -> bool:
                (info,) = await inspector.schedulers.list()
                return (info.status, info.entries) == ("stopped", 2)

            await wait_until(is_shown, "the inspector to show that it was stopped")
            assert redis_client.llen(PENDING) == 0
            await scheduler.resume()
            await wait_until(lambda: redis_client.llen(PENDING), "a run after it was resumed")
            assert (await inspector.schedulers.list())[0].status == "running"


async def test_whoever_is_told_to_stop_while_it_starts_does_so(redis_url: str, redis_client: Redis) -> None:
    """A signal comes when it comes; a word that got lost would leave two schedulers at work."""
    async with Inspector(redis_url) as inspector:
        scheduler = Scheduler(redis_url)
        scheduler.register("@every 1s", Task("report"))
        starting = asyncio.create_task(scheduler.start())
        await asyncio.sleep(0)
        assert scheduler.status == "starting"
        await scheduler.stop()
        await starting
        assert scheduler.status == "stopped"

        async def is_(status: str) -> bool:
            (info,) = await inspector.schedulers.list()
            return info.status == status

        await wait_until(partial(is_, "stopped"), "tools to see that it was stopped")
        redis_client.delete(PENDING)
        await scheduler.resume()
        await wait_until(lambda: redis_client.llen(PENDING), "a run after it was resumed")
        await wait_until(partial(is_, "running"), "tools to see that it was resumed")
        await scheduler.shutdown()


async def test_the_last_word_counts(redis_url: str, redis_client: Redis) -> None:
    """Told to go on while it is about to rest, a scheduler that rested would rest for ever."""
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("report"))
    async with scheduler.running():
        await asyncio.gather(scheduler.stop(), scheduler.resume())
        assert scheduler.status == "running"
        await asyncio.gather(scheduler.stop(), scheduler.resume(), scheduler.stop())
        assert scheduler.status == "stopped"
        await scheduler.resume()
        redis_client.delete(PENDING)
        await wait_until(lambda: redis_client.llen(PENDING), "a run after it was resumed")


async def test_signals_stop_and_resume(redis_url: str, redis_client: Redis) -> None:
    """As they do with a server; SIGTSTP must not freeze the process."""
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, redis_url)
    async with Inspector(redis_url) as inspector:

        async def is_(status: str) -> bool:
            return [info.status for info in await inspector.schedulers.list()] == [status]

        try:
            for number, status in ((signal.SIGTSTP, "stopped"), (signal.SIGCONT, "running")) * 2:
                await wait_until(lambda: redis_client.exists("asyncq:schedulers"), "it to be there")
                program.send_signal(number)
                await wait_until(partial(is_, status), f"it to be {status}")
            program.send_signal(signal.SIGTERM)
        except BaseException:
            program.kill()
            raise
        finally:
            code = await program.wait()
        assert code == 0
        assert await inspector.schedulers.list() == []
