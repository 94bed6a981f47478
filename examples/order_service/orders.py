"""Orders, what may become of them, and where they are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class State(IntEnum):
    """Where an order is in its life."""

    CLOSED = -1
    UNPAID = 0
    PAID = 1
    USED = 2
    REFUNDED = 3
    EXPIRED = 4


MOVES: Mapping[State, frozenset[State]] = {
    State.UNPAID: frozenset({State.CLOSED, State.PAID}),
    State.PAID: frozenset({State.USED, State.REFUNDED, State.EXPIRED}),
}
"""What may follow what. Nothing follows the rest."""


@dataclass(frozen=True)
class Order:
    """One order."""

    number: str
    what: str
    state: State = State.UNPAID


class OrderNotFoundError(LookupError):
    """There is no such order, or not yet."""


_TABLES = """
CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, what TEXT NOT NULL, state INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notices (number TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (number, text));
CREATE TABLE IF NOT EXISTS reports (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""


class Orders:
    """Orders in SQLite.

    Its methods block, so they are called in threads: by `def` handlers, which run in one, and with
    `asyncio.to_thread`. Everything may be done twice: what is told at least once will be.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_TABLES)

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._database, timeout=30)) as connection, connection:
            yield connection

    def add(self, order: Order) -> None:
        """Keep a new order."""
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO orders VALUES (?, ?, ?)", (order.number, order.what, int(order.state))
            )

    def get(self, number: str) -> Order:
        """Find an order.

        Raises:
            OrderNotFoundError: It is not there.
        """
        with self._connected() as connection:
            row = connection.execute(
                "SELECT number, what, state FROM orders WHERE number = ?", (number,)
            ).fetchone()
        if row is None:
            raise OrderNotFoundError(number)
        return Order(row[0], row[1], State(row[2]))

    def move(self, number: str, to: State) -> bool:
        """Move an order to another state, if that may follow the one that it is in; say whether it did.

        In one statement, so that of two who want to move it, one does.
        """
        allowed = [int(state) for state, following in MOVES.items() if to in following]
        places = ", ".join("?" * len(allowed))
        with self._connected() as connection:
            done = connection.execute(
                f"UPDATE orders SET state = ? WHERE number = ? AND state IN ({places})",  # noqa: S608 - places
                (int(to), number, *allowed),
            )
            return done.rowcount == 1

    def tell(self, number: str, text: str) -> bool:
        """Tell the customer something, once; say whether it was news. A real one would send a letter."""
        with self._connected() as connection:
            done = connection.execute("INSERT OR IGNORE INTO notices VALUES (?, ?)", (number, text))
            return done.rowcount == 1

    def told(self, number: str) -> list[str]:
        """What the customer was told."""
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT text FROM notices WHERE number = ? ORDER BY rowid", (number,)
            ).fetchall()
        return [text for (text,) in rows]

    def report(self) -> str:
        """Count the orders by state, keep that, and return it."""
        with self._connected() as connection:
            rows = connection.execute("SELECT state, COUNT(*) FROM orders GROUP BY state").fetchall()
            text = ", ".join(f"{count} {State(state).name.lower()}" for state, count in rows) or "no orders"
            connection.execute("INSERT INTO reports (text) VALUES (?)", (text,))
        return text

    def reports(self) -> list[str]:
        """The reports that were made."""
        with self._connected() as connection:
            return [text for (text,) in connection.execute("SELECT text FROM reports ORDER BY id")]
