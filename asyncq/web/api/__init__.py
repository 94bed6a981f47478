"""The same as the pages, as JSON: `api/v1`, with an OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncq.web.api import overviews, queues, tasks
from asyncq.web.api.document import document
from asyncq.web.api.operations import ROOT
from asyncq.web.site import base_of, site_of

OPERATIONS = (*overviews.OPERATIONS, *queues.OPERATIONS, *tasks.OPERATIONS)


async def _document(request: Request) -> Response:
    return JSONResponse(document(OPERATIONS, title=site_of(request).title, base=base_of(request)))


routes = [
    Route(f"{ROOT}/openapi.json", _document, methods=["GET"], name="openapi"),
    *(operation.route for operation in OPERATIONS),
]
