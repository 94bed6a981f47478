"""The manager of periodic tasks: a scheduler whose entries come from somewhere and may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Unpack

from asyncq._scheduling.description import unix
from asyncq._scheduling.settings import ManagerConfig, ManagerOptions, options_of
from asyncq._scheduling.source import Provider, Source
from asyncq._scheduling.syncer import Syncer
from asyncq._service import Service
from asyncq.connection import ConnectionOptions
from asyncq.entries import Changes, PeriodicTask
from asyncq.errors import ClosedError, ConfigError, ProviderError
from asyncq.scheduler import Scheduler, _now
from asyncq.shared import Connection

__all__ = ["Changes", "ManagerConfig", "PeriodicTask", "PeriodicTaskManager"]


class PeriodicTaskManager(Scheduler):
    """A scheduler whose entries a provider gives, again and again.

        async def provide() -> list[PeriodicTask]:
            return [PeriodicTask(row.spec, Task(row.type), id=row.name) async for row in database]

        PeriodicTaskManager("redis://localhost:6379/0", provide, sync_interval=60).run()

    The provider is asked at the start, every `sync_interval` seconds, and by `sync`. What it gives
    replaces what it gave before in one step: new entries are added, those that are missing are
    removed, and those that are defined as before keep their times. When it fails, hangs, or gives
    an entry that is wrong, all entries stay as they are; the log, `last_error`, `on_sync_error` and
    the inspector say so. At the start there is nothing to stay with, so `start` raises.

    Entries that were registered by hand are left alone. In all else it is a `Scheduler`.

    Args:
        url: Where Redis is: a URL, `ConnectionOptions`, or a `Connection` that is shared.
        provider: Called without arguments; returns an iterable of `PeriodicTask`. May be async,
            and an async iterable. One that is not async is called in a thread.
        config: The options as an object.
        prefix: What every key begins with; `asyncq:` when not given.
        wire: How tasks look in Redis: `native` when not given, or `asynq` to share them with Go.
        options: The options of `ManagerConfig` by name; they win over `config`.
    """

    _WHAT = "the manager"

    def __init__(
        self,
        url: str | ConnectionOptions | Connection,
        provider: Provider,
        config: ManagerConfig | None = None,
        *,
        prefix: str | None = None,
        wire: str | None = None,
        **options: Unpack[ManagerOptions],
    ) -> None:
        given = options_of(ManagerConfig, options, self._WHAT)
        if not callable(provider):
            raise ConfigError("provider", provider, "a function that returns an iterable of PeriodicTask")
        checked = replace(config, **given) if config else ManagerConfig(**given)
        self.config = checked
        self._set_up(url, prefix, wire)
        self._syncer = Syncer(
            Source(provider, timeout=checked.provider_timeout),
            self._roster,
            checked,
            clock=_now,
            log=self._log,
            on_change=self._entries_changed,
        )

    @property
    def last_error(self) -> ProviderError | None:
        """Why the last sync failed; `None` when it did not."""
        return self._syncer.last_error

    @property
    def last_synced_at(self) -> datetime | None:
        """When the entries of the provider were last taken over."""
        return self._syncer.synced_at

    async def sync(self) -> Changes:
        """Ask the provider now, and return what has changed when the new entries hold.

        Raises:
            ProviderError: The provider failed or what it gave is wrong; nothing has changed.
            ClosedError: The manager was shut down.
        """
        if self._status in ("leaving", "left"):
            raise ClosedError(self._WHAT)
        return await self._syncer.sync()

    def unregister(self, entry_id: str) -> None:
        """Forget an entry. One of the provider's comes back with the next sync if it is still given.

        Raises:
            EntryNotFoundError: There is no such entry; says which ids look like it.
        """
        super().unregister(entry_id)
        self._syncer.forget(entry_id)

    async def _prepare(self) -> None:
        self._stack.push_async_callback(self._syncer.aclose)
        await self._syncer.sync()

    def _further_services(self) -> list[Service]:
        return [self._syncer]

    def _describe(self) -> dict[str, Any]:
        error = self.last_error
        return {
            **super()._describe(),
            "synced_at": unix(self.last_synced_at),
            "sync_error": "" if error is None else str(error),
        }
