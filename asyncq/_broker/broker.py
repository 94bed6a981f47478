"""The areas of one client or server over one way to Redis."""

from __future__ import annotations

from typing import Final

from asyncq._broker.actions import Actions
from asyncq._broker.basis import Basis
from asyncq._broker.browse import Browse
from asyncq._broker.claims import Claims
from asyncq._broker.delayed import Delayed
from asyncq._broker.deliver import Deliver
from asyncq._broker.enqueue import Enqueue
from asyncq._broker.entries import Entries
from asyncq._broker.go_schedulers import GoSchedulers
from asyncq._broker.go_servers import GoServers
from asyncq._broker.groups import Groups
from asyncq._broker.leases import Leases
from asyncq._broker.measures import Measures
from asyncq._broker.nodes import Nodes
from asyncq._broker.notes import Notes
from asyncq._broker.presence import Presence
from asyncq._broker.queues import Queues
from asyncq._broker.results import Results
from asyncq._broker.schedules import Schedules
from asyncq._broker.semaphores import Semaphores
from asyncq._broker.settle import Settle
from asyncq._broker.ticks import Ticks
from asyncq._broker.trail import Trail
from asyncq._broker.upkeep import Upkeep
from asyncq._redis.router import Router
from asyncq._wire.wire import Wire


class Broker:
    """Only wires: who needs to do something is handed the area for it, never this."""

    def __init__(self, router: Router, wire: Wire, *, owner: str, patience: float) -> None:
        self.router: Final = router
        self.wire: Final = wire
        self.owner: Final = owner
        self.basis: Final = Basis(self.router, wire, owner, patience)
        self.enqueue: Final = Enqueue(self.basis)
        self.settle: Final = Settle(self.basis)
        self.leases: Final = Leases(self.basis)
        self.delayed: Final = Delayed(self.basis)
        self.groups: Final = Groups(self.basis, self.enqueue)
        self.upkeep: Final = Upkeep(self.basis)
        self.notes: Final = Notes(self.basis)
        self.measures: Final = Measures(self.basis)
        self.browse: Final = Browse(self.basis)
        self.actions: Final = Actions(self.basis)
        self.presence: Final = Presence(self.basis)
        self.go_servers: Final = GoServers(self.basis)
        self.results: Final = Results(self.basis)
        self.schedules: Final = Schedules(self.basis)
        self.go_schedulers: Final = GoSchedulers(self.basis)
        self.entries: Final = Entries(self.basis)
        self.ticks: Final = Ticks(self.basis)
        self.queues: Final = Queues(self.basis)
        self.nodes: Final = Nodes(self.basis)
        self.semaphores: Final = Semaphores(self.basis)
        self.claims: Final = Claims(self.basis)
        self.trail: Final = Trail(self.basis)

    def deliver(self, *, lease: float, stand: float) -> Deliver:
        """The deliver area, which counts the deliveries of one server."""
        return Deliver(self.basis, lease=lease, stand=stand)
