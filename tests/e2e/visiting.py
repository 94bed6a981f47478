"""A visitor of the pages who notices all that goes wrong in the browser."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request, Response

__all__ = ["Visitor"]

_AXE = Path(__file__).parent / "axe" / "axe.min.js"
# What the parts of a violation are; the whole has the HTML of everything around it, too.
_RUN_AXE = """
async (rules) => (await axe.run(document, {
  preload: false, resultTypes: ["violations"], ...(rules.length ? {runOnly: rules} : {})
})).violations.map((one) =>
  `${one.id}: ${one.help}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`
)
"""


@cache
def _axe() -> str:
    # Evaluated, and not put into the page as a script, which the policy of the page would refuse.
    return _AXE.read_text(encoding="utf-8") + ";0"


class Visitor:
    """A page of a browser, and what was seen there.

    Args:
        page: New, and empty yet.
        origin: Where the pages are. Anything from elsewhere is a fault.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.expected: set[int] = set()
        """Status codes from 400 that are no faults in this test."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("dialog", self._on_dialog)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium tells violations of the policy of the page here, too.
        if message.type not in ("error", "warning"):
            return
        if "Failed to load resource" in message.text and self.expected:
            return  # told by the response
        self.faults.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(
            self.origin + "/"
        ):
            self.faults.append(f"a request to elsewhere: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.status} for {response.request.method} {response.url}")

    async def _on_dialog(self, dialog: Any) -> None:
        # Ours are part of the page; only a script of somebody else opens one of the browser's.
        self.faults.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    async def go(self, path: str) -> None:
        """Open a page of the site."""
        await self.page.goto(self.origin + path)

    async def assert_usable(self, *rules: str) -> None:
        """No barrier for anybody, nothing wider than the window, and nothing went wrong.

        Args:
            rules: Those of axe to look at; all of them when not given.
        """
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(_axe())
        found: list[str] = await self.page.evaluate(_RUN_AXE, list(rules))
        assert found == [], f"{self.page.url}: " + "\n".join(found)
        wide = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{self.page.url} is {wide} px wider than the window"
        self.assert_no_fault()

    def assert_no_fault(self) -> None:
        """Nothing went wrong since it was asked the last time."""
        faults, self.faults = self.faults, []
        assert faults == [], f"{self.page.url}: " + "\n".join(faults)
