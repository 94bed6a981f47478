"""The metrics of a server: what it did itself."""

from __future__ import annotations

from typing import Final

from prometheus_client.registry import Collector

from asyncq.errors import ClosedError, NotStartedError
from asyncq.measures import ServerMeasures
from asyncq.metrics.families import Families, Filler, encoded
from asyncq.metrics.naming import require_different
from asyncq.server import Page, Request, Server


class ServerCollector(Filler):
    """Shows what servers of this process did since they started, and what they do now.

    A collector like any other: register it where your own metrics are.

        from prometheus_client import REGISTRY

        REGISTRY.register(ServerCollector(server))

    A server that does not run shows nothing. All numbers come from its memory: a scrape costs Redis nothing.

    Args:
        servers: Usually one. Several need different names (`Server(name=)`), which the label `server` has.
        namespace: What every name begins with.

    Raises:
        ConfigError: Two servers have the same name, or the namespace cannot be one.
    """

    def __init__(self, *servers: Server, namespace: str = "asyncq") -> None:
        require_different([server.config.name for server in servers], label="server")
        super().__init__(namespace)
        self._servers: Final = servers

    def _fill(self, to: Families) -> None:
        """Add what those that run did."""
        for server in self._servers:
            try:
                measures = server.measures()
            except (NotStartedError, ClosedError):
                continue
            _add(to, measures, server.config.name)


def add_metrics(
    server: Server, *collectors: Collector, namespace: str = "asyncq", path: str = "/metrics"
) -> None:
    """Add a page of metrics to the door of a server that has one, `Server(probes="0.0.0.0:8081")`.

    Args:
        server: Whose; before or after it is started.
        collectors: What the page shows besides: `prometheus_client.REGISTRY` has metrics of your own, say.
        namespace: What every name begins with.
        path: Where the page is.

    Raises:
        ConfigError: The server has no door.
    """
    mine = ServerCollector(server, namespace=namespace)

    async def page(request: Request) -> Page:
        body, content_type = await encoded([mine, *collectors], request.headers.get("accept", ""))
        return Page(body, content_type=content_type)

    server.add_page(path, page)


def _add(to: Families, measures: ServerMeasures, server: str) -> None:
    _of_server(to, measures, server)
    for one in measures.types:
        labels = {"server": server, "queue": one.queue, "type": one.type}
        for outcome, count in one.outcomes.items():
            help_ = "Deliveries of tasks by what became of them."
            to.count("task_outcomes", help_, count, **labels, outcome=outcome)
        help_ = "Deliveries of tasks that had been handed out already since they were ready."
        to.count("task_redelivered", help_, one.redelivered, **labels)
        to.spread("task_wait_seconds", "From when a task could be taken until it was.", one.wait, **labels)
        to.spread("task_run_seconds", "How long handlers ran, however they ended.", one.run, **labels)
        help_ = "From when a delayed task or a retry was due until it was taken."
        to.spread("task_lateness_seconds", help_, one.lateness, **labels)
    for queue in measures.queues:
        labels = {"server": server, "queue": queue.queue}
        to.count("leases_lost", "Leases that a live server lost while it worked.", queue.lost, **labels)
        help_ = "Tasks of vanished servers that were let run again."
        to.count("tasks_recovered", help_, queue.recovered, **labels)
        help_ = "Tasks that were archived since they were lost with their servers too often."
        to.count("tasks_given_up", help_, queue.given_up, **labels)
        to.count("outcomes_refused", "Outcomes that came too late.", queue.refused, **labels)
        help_ = "Outcomes that a key of the queue did not take."
        to.count("outcomes_unusable", help_, queue.unusable, **labels)


def _of_server(to: Families, measures: ServerMeasures, server: str) -> None:
    labels = {"server": server}
    to.gauge(
        "server_slots", "Tasks that the server can run at the same time.", measures.concurrency, **labels
    )
    to.gauge("server_slots_busy", "Tasks that it runs.", measures.busy, **labels)
    to.gauge("server_tasks_held", "Tasks that it has taken and not settled.", measures.held, **labels)
    to.gauge("server_settle_backlog", "Outcomes that are not written yet.", measures.settle_backlog, **labels)
    help_ = "How often its event loop was blocked for more than a second."
    to.count("server_loop_stalls", help_, measures.stalls, **labels)
    to.count("server_loop_stalled_seconds", "For how long, all together.", measures.stalled_seconds, **labels)
    help_ = "How long the event loop took to turn when it was last looked at."
    to.gauge("server_loop_lag_seconds", help_, measures.loop_lag, **labels)
    help_ = "When the server started, in Unix seconds."
    to.gauge("server_start_time_seconds", help_, measures.started_at.timestamp(), **labels)
    to.gauge("server_is_taking", "Whether it takes tasks.", measures.status == "active", **labels)
