"""Draws the pictures of the dashboard in docs/images, of an embedded server with made-up tasks.

    python tools/screenshots.py

Pictures are drawn anew by hand, when the dashboard has changed; a test draws one and looks at what it says.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from asyncq import Client, Inspector, Mux, Server, Task
from asyncq.dash import Dashboard
from asyncq.embedded import open_embedded

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = (120, 22)
TALL = 26
"""Lines of the picture with the charts."""

QUEUES = {"critical": 12, "default": 340, "mail": 57, "reports": 3}


async def draw(url: str, folder: Path) -> list[Path]:
    """Draw them, and return where they are."""
    await _fill(url)
    drawn: list[Path] = []
    async with Inspector(url) as inspector:
        pictures = (
            ("queues", "queues", ["down"]),
            ("task", "archived", ["enter"]),
            ("overview", "overview", []),
        )
        for name, start, keys in pictures:
            app = Dashboard(inspector, start=start)
            async with app.run_test(size=(SIZE[0], TALL) if name == "overview" else SIZE) as pilot:
                while app.board.reading is None:
                    await pilot.pause(0.05)
                await pilot.press(*keys)
                while app.board.reading is None:
                    await pilot.pause(0.05)
                await pilot.pause(0.2)
                path = folder / f"dash-{name}.svg"
                picture = _without_fonts(app.export_screenshot(title="asyncq dash"))
                # As long as what it stands for: each text in the picture is as wide as it was.
                name_shown = "redis.shop:6379".ljust(len(inspector.where), "\N{NO-BREAK SPACE}")
                path.write_text(picture.replace(inspector.where, name_shown), encoding="utf-8")
                drawn.append(path)
    return drawn


def _without_fonts(svg: str) -> str:
    """Leave out the fonts that would be fetched from elsewhere: whoever reads a page asks nobody else."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


async def _fill(url: str) -> None:
    mux, failed = Mux(), asyncio.Event()

    @mux.handle("report:build")
    async def build(_: Task) -> None:
        raise ConnectionError("the warehouse does not answer")

    async with Client(url) as client:
        payload = {"month": "2026-10", "customer": 4711}
        await client.enqueue(Task("report:build", payload), max_retry=0, task_id="report-2026-10")
        async with Server(url, on_error=lambda _: failed.set()).running(mux):
            await failed.wait()
        for queue, count in QUEUES.items():
            tasks = [Task("work", number, queue=queue) for number in range(count)]
            later = [Task("work", number, queue=queue, process_in=3600) for number in range(count // 3)]
            async for outcome in client.enqueue_many([*tasks, *later]):
                if outcome.error is not None:
                    raise outcome.error
        async with Inspector(url) as inspector:
            await inspector.queues.pause("reports")


def main() -> None:
    """Draw all of them."""
    with tempfile.TemporaryDirectory() as folder, open_embedded(Path(folder) / "data") as server:
        for path in asyncio.run(draw(f"unix://{server.socket_path}", IMAGES)):
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
