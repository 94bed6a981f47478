"""Style sheet, scripts and icon: read once, named by what is in them, and so kept by browsers for ever."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served. Licences and the list of origins are beside them, for whoever reads the package."""

_HASH_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    packed: bytes  #: the same with gzip
    kind: str


class Statics:
    """The files of the folder `static`, in memory: a request names one of them, and no path is opened."""

    def __init__(self) -> None:
        self._assets: dict[str, _Asset] = {}
        self._names: dict[str, str] = {}
        for name, file in _walk(files("asyncq.web") / "static", ""):
            suffix = name[name.rfind(".") :]
            if suffix in _TYPES:
                body = file.read_bytes()
                hashed = f"{hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]}/{name}"
                self._names[name] = hashed
                self._assets[hashed] = _Asset(body, gzip.compress(body, mtime=0), _TYPES[suffix])

    def path(self, name: str) -> str:
        """The path of a file below `static/`."""
        return self._names[name]

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        asset = self._assets.get(request.path_params["path"])
        if asset is None:
            return PlainTextResponse("There is no such file.", 404)
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.kind, headers=headers)
        return Response(asset.body, media_type=asset.kind, headers=headers)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        name = f"{prefix}{one.name}"
        found += _walk(one, f"{name}/") if one.is_dir() else [(name, one)]
    return found
