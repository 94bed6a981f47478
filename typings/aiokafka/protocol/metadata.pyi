"""Asking which topics there are."""

class MetadataRequest:
    def __init__(
        self, topics: list[str] | None = None, allow_auto_topic_creation: bool | None = None
    ) -> None: ...
