"""The states of a task, named as asynq names them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task is. It is in exactly one of these, and one script moves it to the next."""

    PENDING = "pending"
    ACTIVE = "active"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"
