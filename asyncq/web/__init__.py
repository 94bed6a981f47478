"""The web UI: `asyncq.web.app(...)` to mount under FastAPI or Starlette, or served by `asyncq web`.

    from asyncq.web import Tokens, app

    operations = app("redis://localhost:6379/0", auth=Tokens("a-long-secret-of-yours"))
    api.mount("/ops/queues", operations)

Pages for people, and the same things as JSON under `api/v1`. All of it stands on the `Inspector`: what a
visitor may see and do, and the trail of what was done, are kept there.
"""

from __future__ import annotations

try:
    import jinja2 as _jinja2
    import starlette as _starlette
except ModuleNotFoundError as _error:  # pragma: no cover - needs an environment without them
    raise ModuleNotFoundError(
        'asyncq.web needs Starlette and Jinja2: pip install "asyncq[web]"', name=_error.name
    ) from _error

from asyncq.web.application import WebApp, app
from asyncq.web.auth import Auth, NoAuth, Principal, Tokens, check_bind

__all__ = ["Auth", "NoAuth", "Principal", "Tokens", "WebApp", "app", "check_bind"]

del _jinja2, _starlette
