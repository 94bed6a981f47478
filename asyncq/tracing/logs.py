"""The trace in log records."""

from __future__ import annotations

import logging

from opentelemetry import trace


class TraceFilter(logging.Filter):
    """Adds `trace_id` and `span_id` to records that are made inside a span.

        handler.addFilter(TraceFilter())

    It keeps every record. Add it to a handler: a filter of a logger does not see what comes from the
    loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add them."""
        span = trace.get_current_span().get_span_context()
        if span.is_valid and not hasattr(record, "trace_id"):
            record.trace_id = trace.format_trace_id(span.trace_id)
            record.span_id = trace.format_span_id(span.span_id)
        return True
