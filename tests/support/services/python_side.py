"""asyncq as a producer, a consumer and so on, one role a process: it speaks as Go's program does.

    python -m tests.support.services.python_side ROLE CONFIG

See `tests/services/go_queue/main.go` for the lines. The roles of dq, kq and app stand in files of their own.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from .python_lines import Verbs, in_background, tell, write

Role = Callable[[dict[str, Any]], Awaitable[Verbs]]

_LONGEST_LINE = 64 * 2**20
# Imported when they are played: a producer of dq needs no Kafka.
_ROLES = {
    "dq-produce": "python_dq:produce",
    "dq-consume": "python_dq:consume",
    "kq-push": "python_kq:push",
    "kq-consume": "python_kq:consume",
    "group": "python_app:group",
    "wheel": "python_app:wheel",
    "load": "python_app:load",
}


async def _answer(verbs: Verbs, call: dict[str, Any]) -> None:
    try:
        verb = verbs[call["do"]]
        arguments = dict(call["with"])
        if "payload" in arguments:
            arguments["payload"] = base64.b64decode(arguments["payload"])
        write({"id": call["id"], "result": await verb(**arguments)})
    except Exception as error:  # noqa: BLE001 - the test is told, whatever it is
        write({"id": call["id"], "error": str(error), "kind": type(error).__name__})


async def _main(play: Role, config: str, is_ready: threading.Event) -> None:
    verbs = await play(json.loads(config))
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    tell("ready")
    is_ready.set()
    async for line in reader:
        in_background(_answer(verbs, json.loads(line)))
    os._exit(0)


def _begin(role: str, config: str) -> None:
    module, _, name = _ROLES[role].partition(":")
    imported = importlib.import_module(f"tests.support.services.{module}")
    is_ready = threading.Event()
    work = _main(getattr(imported, name), config, is_ready)
    if role != "group":
        asyncio.run(work)
        return
    # A group that runs owns the main thread and its signals, so the lines come to another one.
    threading.Thread(target=asyncio.run, args=(work,), daemon=True).start()
    is_ready.wait()
    imported.run_group()
    tell("ended")
    os._exit(0)


if __name__ == "__main__":
    _begin(sys.argv[1], sys.argv[2])
