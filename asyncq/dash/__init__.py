"""A dashboard for the terminal: charts, queues, tasks, failures, servers, live, with the keys to act on them.

    asyncq dash --url redis://localhost:6379/0

Needs the extra `cli`. Everything it shows and does goes through one `Inspector`, whose rights hold.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("textual") is None:  # pragma: no cover - the tests have it
    advice = 'asyncq dash needs Textual: pip install "asyncq[cli]"'
    raise ImportError(advice)

from asyncq.dash.app import Dashboard

__all__ = ["Dashboard"]
