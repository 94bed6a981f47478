"""The OpenAPI document: made from the operations, so it cannot say anything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from asyncq.web.api.operations import ROOT, Operation

_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["status", "title", "detail"],
}

_STATUSES: Final = {
    "400": "The request cannot be understood.",
    "401": "Nobody is logged in.",
    "403": "Who is logged in may not do this, or it came from another site.",
    "404": "It is not there.",
    "409": "It is not in a state that allows this.",
    "503": "Redis cannot be reached; try again.",
}


def document(operations: Sequence[Operation], *, title: str, base: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": "A name with a slash or a percent sign is percent-encoded twice in a path. "
            "Changes need `Authorization: Bearer …`, or to come from a page of the same origin.",
        },
        "servers": [{"url": f"{base}{ROOT}"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "responses": {
                status: {
                    "description": text,
                    "content": {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    },
                }
                for status, text in _STATUSES.items()
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "asyncq"},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_query = [
        {
            "name": one.name,
            "in": "query",
            "description": one.about,
            "schema": {"type": one.kind, **({"enum": list(one.choices)} if one.choices else {})},
        }
        for one in operation.parameters
    ]
    return {
        "operationId": operation.name,
        "summary": operation.about,
        "description": f"Needs the right `{operation.right}`.",
        "parameters": [*in_path, *in_query],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": {}}}},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _STATUSES},
        },
    }
