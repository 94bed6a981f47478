"""The parent of several processes, or of one that is reloaded: starts, tells, restarts, and waits."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

from asyncq._service import Errands
from asyncq._signals import handled
from asyncq.cli.logs import RUN_LOG
from asyncq.cli.offspring import Offspring
from asyncq.cli.plan import Plan
from asyncq.cli.restarts import Ending, Restarts

RELOAD_PATIENCE: Final = 2.0
"""Seconds that running tasks have at a reload before they are put back and run again with the new code."""

LAST_PATIENCE: Final = 15.0
"""Seconds that a process has at a reload to put back what runs. Then it is killed: nothing of it is lost, but
what it ran waits for the end of a lease."""

_log: Final = logging.getLogger(RUN_LOG)


class Parent:
    """Keeps a number of processes running.

    1. Each runs the whole plan, and is started again when it ends unasked: at once after it has worked
       for a while, with growing delays otherwise.
    2. It passes on what it is told: the first SIGTERM or SIGINT lets the processes finish, the second
       does not, a third kills them. SIGTSTP and SIGCONT stop and resume them.
    3. `reload` starts all of them anew, for code that has changed.
    """

    def __init__(self, plan: Plan, processes: int, *, waits_for_changes: bool = False) -> None:
        self._plan: Final = plan
        self._processes: Final = processes
        self._waits_for_changes: Final = waits_for_changes
        self._errands: Final = Errands()
        self._restarts: Final = Restarts()
        self._living: Final[dict[int, Offspring]] = {}
        self._outdated: Final[set[Offspring]] = set()
        """Those that were told to leave because the code has changed."""
        self._generation = 0
        self._asked_to_leave = 0
        self._is_stopped = False
        self._moved = asyncio.Event()
        self._code = 0
        self.by_signal: Final[dict[signal.Signals, Callable[[], None]]] = {
            signal.SIGTERM: self.leave,
            signal.SIGINT: self.leave,
            signal.SIGTSTP: self.stop,
            signal.SIGCONT: self.resume,
        }

    @property
    def ready(self) -> list[Offspring]:
        """The processes that work."""
        return [child for child in self._living.values() if child.is_ready]

    @property
    def living(self) -> list[Offspring]:
        """The processes that are there."""
        return list(self._living.values())

    async def run(self) -> int:
        """Keep the processes until told to leave, or until that has no sense; return the exit code."""
        with handled(self.by_signal):
            try:
                keepers = [
                    self._errands.start(self._keep(n + 1), name="process") for n in range(self._processes)
                ]
                await asyncio.gather(*keepers)
            finally:
                # Usually nobody is left. When something breaks in here, they leave in order all the same.
                self._end()
                await self._errands.finish()
        return self._code

    def is_leaving(self) -> bool:
        """Tell whether no process is started any more."""
        return self._asked_to_leave > 0

    def leave(self) -> None:
        """Let the processes finish and leave; asked again at once, and the third time kill them."""
        self._asked_to_leave += 1
        how = ("leave", "leave, again: now", "leave, a third time: processes are killed")
        self._say(f"asked to {how[min(self._asked_to_leave, 3) - 1]}")
        for child in self.living:
            if self._asked_to_leave > 2:
                child.kill()
            else:
                child.tell("leave" if self._asked_to_leave == 1 else "now")
        self._move()

    def stop(self) -> None:
        """Let no process take more tasks."""
        self._is_stopped = True
        self._say("asked to take no more tasks")
        for child in self.living:
            child.tell("stop")

    def resume(self) -> None:
        """Let them take tasks again."""
        if self._is_stopped:
            self._is_stopped = False
            self._say("asked to take tasks again")
            for child in self.living:
                child.tell("resume")

    async def reload(self) -> None:
        """Start all processes anew. What runs may finish for a moment, and is put back then."""
        self._generation += 1
        self._restarts.forget()
        # One that is just being started is not among them: it will load what is there now.
        old = self.living
        self._outdated.update(old)
        for child in old:
            child.tell("leave")
        self._move()
        deadline = asyncio.get_running_loop().time() + RELOAD_PATIENCE
        while any(child in old for child in self.living):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._moved.wait()
            except TimeoutError:
                await self._hurry([child for child in old if child in self.living])
                return

    async def _hurry(self, children: list[Offspring]) -> None:
        """Let processes leave at once, and kill those that do not: one may be stuck, and new code waits."""
        for child in children:
            child.tell("now")
        try:
            async with asyncio.timeout(LAST_PATIENCE):
                while any(child in children for child in self.living):
                    await self._moved.wait()
        except TimeoutError:
            for child in children:
                if child in self.living:
                    child.kill()

    def _end(self) -> None:
        """Let all leave, and start none any more."""
        self._asked_to_leave = max(self._asked_to_leave, 1)
        for child in self.living:
            child.tell("leave")
        self._move()

    def _say(self, what: str) -> None:
        _log.info("%s", what, extra={"event": "signal"})

    def _move(self) -> None:
        """Wake all who wait for something to change."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _keep(self, number: int) -> None:
        while not self.is_leaving():
            child = Offspring(self._plan.for_child(number), self._on_ready)
            ending = await self._live(child)
            if self.is_leaving():
                self._code = self._code or _blame(ending)
            elif child not in self._outdated:
                await self._after(number, ending)
            self._outdated.discard(child)

    async def _live(self, child: Offspring) -> Ending:
        """One life of one process."""
        try:
            await child.start()
        except OSError as error:
            _log.exception("no process can be started: %s", error, extra={"event": "no_process"})
            return Ending(1, was_ready=False, lived=0.0)
        self._living[child.number] = child
        try:
            if self.is_leaving():
                child.tell("leave")
            return await child.ended()
        finally:
            del self._living[child.number]
            self._move()

    async def _after(self, number: int, ending: Ending) -> None:
        """A process has ended unasked: wait until the next may start, or give up."""
        generation = self._generation
        delay = self._restarts.delay(number, ending)
        if self._waits_for_changes and not ending.was_ready:
            text = "the program does not start; waiting for a change"
            _log.error(text, extra={"event": "waiting_for_change", "exit_code": ending.code})
            await self._wait_for(lambda: self._generation != generation)
        elif self._restarts.is_over(working=len(self.ready)):
            _log.error(
                "process %d %s: giving up",
                number,
                ending,
                extra={"event": "gave_up", "number": number, "exit_code": ending.code},
            )
            self._code = _blame(ending) or 1
            self._end()
        else:
            _log.error(
                "process %d %s; starting another in %.1f s",
                number,
                ending,
                delay,
                extra={
                    "event": "process_ended",
                    "number": number,
                    "exit_code": ending.code,
                    "seconds": delay,
                },
            )
            await self._wait_for(lambda: self._generation != generation, delay)

    async def _wait_for(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until something holds, or we are to leave, or for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not (condition() or self.is_leaving()):
                    await self._moved.wait()
        except TimeoutError:
            pass

    def _on_ready(self, child: Offspring) -> None:
        self._restarts.started()
        _log.info(
            "process %d (pid %d) works",
            child.number,
            child.pid,
            extra={"event": "process_started", "number": child.number, "pid": child.pid},
        )
        if self._is_stopped:
            child.tell("stop")


def _blame(ending: Ending) -> int:
    """The exit code for how a process ended that was asked to leave: one that had not begun is fine."""
    if ending.code == 0 or (ending.code == -signal.SIGTERM and not ending.was_ready):
        return 0
    return ending.code if ending.code > 0 else 1
