"""The names of metrics and of what spans carry: OpenTelemetry's conventions for messaging, and our own.

The conventions are still marked as in development, so all names stand here and nowhere else.
"""

from __future__ import annotations

from typing import Final

# --- of the conventions ---------------------------------------------------------------------------

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
BODY_SIZE: Final = "messaging.message.body.size"
BATCH_COUNT: Final = "messaging.batch.message_count"
CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"

SENT_MESSAGES: Final = "messaging.client.sent.messages"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
OPERATION_DURATION: Final = "messaging.client.operation.duration"
PROCESS_DURATION: Final = "messaging.process.duration"

SYSTEM_NAME: Final = "asyncq"
CREATE: Final = "create"
SEND: Final = "send"
PROCESS: Final = "process"

# --- our own --------------------------------------------------------------------------------------

TASK_TYPE: Final = "messaging.asyncq.task.type"
ATTEMPT: Final = "messaging.asyncq.task.attempt"
MAX_RETRY: Final = "messaging.asyncq.task.max_retry"
DELIVERIES: Final = "messaging.asyncq.task.deliveries"
WAITED: Final = "messaging.asyncq.task.wait"
GROUP: Final = "messaging.asyncq.group"
OUTCOME: Final = "messaging.asyncq.outcome"
REFUSED: Final = "messaging.asyncq.batch.refused"

LINK_KIND: Final = "messaging.asyncq.link"
"""Of a link: `sent` to the span that sent the task, `gathered` to that of a member of a group."""

SENT_AT: Final = "asyncq-sent-at"
"""Header: when the task was sent, in Unix seconds by the clock of who sent it."""
