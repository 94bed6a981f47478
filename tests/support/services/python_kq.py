"""The roles of kq, played by asyncq."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asyncq.app import from_mapping
from asyncq.kq import KqConf, Message, Pusher, Queue

from .python_lines import Verbs, run_until_told, script, tell

__all__ = ["consume", "push"]


@contextmanager
def _trace_of(parent: str) -> Iterator[None]:
    """Go on with a trace, as while a request is being served."""
    token = attach(TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {}))
    try:
        yield
    finally:
        detach(token)


async def push(config: dict[str, Any]) -> Verbs:
    """A pusher."""
    names = {"chunk": "chunk_size", "sync": "sync", "acks": "acks", "delivery_timeout": "delivery_timeout"}
    options = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
    if "interval_ms" in config:
        options["flush_interval"] = config["interval_ms"] / 1000
    if config.get("hash"):
        options["balancer"] = "hash"
    pusher = Pusher(config["brokers"], config["topic"], **options)
    if not config.get("sync"):
        await pusher.start()

    starting = asyncio.Lock()
    is_started = not config.get("sync")

    async def start() -> None:
        nonlocal is_started
        async with starting:
            if not is_started:
                await pusher.start()
            is_started = True

    async def push_(payload: bytes, trace: str = "", key: str | None = None) -> None:
        await start()
        with _trace_of(trace):
            await pusher.push(payload, key=key)

    async def name() -> str:
        return pusher.topic

    return {
        "push": push_,
        "push_with_key": push_,
        "flush": pusher.flush,
        "close": pusher.aclose,
        "name": name,
    }


async def consume(config: dict[str, Any]) -> Verbs:
    """A queue. Its configuration is a KqConf as Go writes it, and options of ours."""
    settings = {**config["queue"], **config.get("ours", {})}
    for name in ("commit_interval", "max_wait"):
        if f"{name}_ms" in config:
            settings[name] = config[f"{name}_ms"] / 1000
    conf = from_mapping(settings, KqConf)

    async def handle(message: Message) -> None:
        span = trace.get_current_span().get_span_context()
        fields = {"key": (message.key or b"").decode(), "payload": message.value}
        place = f"{message.partition}-{message.offset}"
        tell("begin", **fields, trace=f"{span.trace_id:032x}" if span.trace_id else "", place=place)
        outcome = "cancelled"
        try:
            await script(message.value)
            outcome = "ok"
        except RuntimeError as error:
            outcome = str(error)
            raise
        finally:
            tell("end", **fields, outcome=outcome)

    queue = Queue(conf, handle)
    run_until_told(queue)
    return {"stop": queue.stop}
