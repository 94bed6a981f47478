"""How an attempt ended that did not succeed: not each such end is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from asyncq.context import Context
from asyncq.errors import RetryIn, RevokeTask
from asyncq.tracing._means import type_of

_GIVEN_BACK: Final = {"shutdown", "slot_lost"}
"""Reasons for which a handler is stopped that are none of its task's faults."""


@dataclass(frozen=True, slots=True)
class End:
    """What to say of it."""

    outcome: str = ""  #: of what is no plain error
    error_type: str = ""  #: of what is one: the class, or the reason for which it was stopped


def end_of(ctx: Context, error: BaseException) -> End:
    """How an attempt ended.

    Args:
        ctx: Of the attempt.
        error: What its handler raised.
    """
    if isinstance(error, asyncio.CancelledError) and ctx.cancel_reason is not None:
        is_ours = ctx.cancel_reason in _GIVEN_BACK
        return End(outcome="given back") if is_ours else End(error_type=ctx.cancel_reason)
    control = _control(error)
    if control is None:
        return End(error_type=type_of(error))
    if isinstance(control, RevokeTask):
        return End(outcome="revoked")
    return End(outcome="retry asked for", error_type=type_of(error) if control.counts else "")


def _control(error: BaseException) -> RevokeTask | RetryIn | None:
    """What a handler steers with, also from inside a group of errors."""
    if isinstance(error, (RevokeTask, RetryIn)):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = cast("Iterable[BaseException]", cast("Any", error).exceptions)
        return next((found for one in inner if (found := _control(one)) is not None), None)
    return None
