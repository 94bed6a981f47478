"""One address of the API: what it is called, what it takes, and what does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncq.inspector import Found
from asyncq.web.api.encoding import encode
from asyncq.web.site import CONVERTOR

ROOT: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the query."""

    name: str
    about: str
    kind: Literal["string", "integer", "boolean", "number"] = "string"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address. Names in braces are parts of its path, any text each."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    name: str
    about: str
    answer: Callable[[Request], Awaitable[Any]]  #: what it returns is sent as JSON
    right: str = "view"
    parameters: tuple[Parameter, ...] = ()

    @property
    def route(self) -> Route:
        """As the app has it."""

        async def handle(request: Request) -> Response:
            return JSONResponse(encode(await self.answer(request)))

        path = ROOT + self.path.replace("}", f":{CONVERTOR}}}")
        return Route(path, handle, methods=[self.method], name=f"api_{self.name}")


def listed(items: list[Any], start: int = 0, size: int | None = None) -> dict[str, Any]:
    """A list, or a part of it, with how many there are; and what could not be looked at."""
    end = len(items) if size is None else start + size
    found: dict[str, Any] = {"items": items[start:end], "total": len(items)}
    if isinstance(items, Found) and items.missing:
        found["missing"] = list(items.missing)
    return found
