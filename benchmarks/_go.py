"""Go asynq on the same server, for the benchmarks that compare with it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _bench import Bench

SOURCE = Path(__file__).parent / "go"
BUILD_SECONDS = 300


class GoAsynq:
    """The program in `benchmarks/go`, built in a folder of its own that goes with this object."""

    def __init__(self, program: Path, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._program = program
        self._folder = folder

    async def call(self, bench: Bench, *arguments: object) -> Mapping[str, float]:
        """Run the program against the benchmark's server: seconds, and the CPU it used."""
        process = await asyncio.create_subprocess_exec(
            self._program, bench.server.path, *map(str, arguments), stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, f"asynq-bench {arguments} failed"
        answer: dict[str, float] = json.loads(output)
        return answer

    async def fill(self, bench: Bench, count: int) -> None:
        """Enqueue `count` tasks of 100 bytes."""
        await self.call(bench, "fill", count, 100)

    async def drain(self, bench: Bench, count: int, *, concurrency: int) -> Mapping[str, float]:
        """Enqueue `count` tasks, then run them with a handler that does nothing."""
        with bench.spend() as filled:
            await self.fill(bench, count)
        with bench.spend() as drained:
            seen = await self.call(bench, "drain", count, concurrency)
        bench.server.flush()
        return {
            "tasks/s": count / seen["seconds"],
            "client CPU µs": seen["client_cpu"] / count * 1e6,
            "Redis CPU µs": (filled.redis_cpu + drained.redis_cpu) / count * 1e6,
            "of it enqueue": filled.redis_cpu / count * 1e6,
            "tasks/call": count / (drained.calls.get("evalsha", 0) + drained.calls.get("eval", 0)),
        }


def go_asynq(bench: Bench) -> GoAsynq | None:
    """Build it, or say loudly why not. A short run never does: a cold build takes a minute of both cores."""
    if bench.short:
        return _without("a short run does not build it")
    if shutil.which("go") is None:
        return _without("there is no `go` on PATH")
    folder = tempfile.TemporaryDirectory(prefix="asyncq-bench-go-")
    program = Path(folder.name) / "asynq-bench"
    built = subprocess.run(
        ["go", "build", "-o", program, "."],
        cwd=SOURCE,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if built.returncode:
        folder.cleanup()
        return _without(f"it does not build:\n{built.stderr}")
    return GoAsynq(program, folder)


def _without(reason: str) -> None:
    print(f"\n**WITHOUT Go asynq: {reason}**")
