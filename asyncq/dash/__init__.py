"""A dashboard for the terminal: queues, tasks, servers and schedulers, live, with the keys to act on them.

    asyncq dash --url redis://localhost:6379/0

Needs the extra `cli`. Everything it shows and does goes through one `Inspector`, whose rights hold.
"""

from __future__ import annotations

try:
    import textual.app
except ImportError as error:  # pragma: no cover - the tests have it
    advice = 'asyncq dash needs Textual: pip install "asyncq[cli]"'
    raise ImportError(advice) from error

from asyncq.dash.app import Dashboard

del textual

__all__ = ["Dashboard"]
