"""A small Flask application for gunicorn's threads, with three things that threads wait for.

`/price/NAME` asks a slow server while it holds a lock. `/stock` takes a connection from SQLAlchemy's pool,
which has its default size. `/visit` writes a line to a log that is slow to take it.

The environment variable REPAIRED takes the words "price", "stock" and "visit": what is repaired in this run.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

from flask import Flask
from sqlalchemy import create_engine, event, text

REPAIRED = os.environ.get("REPAIRED", "").split(",")

#: As many as gunicorn has threads.
THREADS = 32

#: Seconds that the database needs for its answer.
SLOW = float(os.environ.get("SLOW", "0.05"))

app = Flask(__name__)


class Prices:
    """Prices that a slow server knows, kept for a moment."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, tuple[float, float]] = {}

    def of(self, name: str) -> float:
        """The price, which may be a twentieth of a second old."""
        if "price" in REPAIRED:
            return self._of_repaired(name)
        with self.lock:
            price, asked = self.known.get(name, (0.0, 0.0))
            if time.monotonic() - asked > 0.05:
                price = self.ask(name)
                self.known[name] = price, time.monotonic()
            return price

    def _of_repaired(self, name: str) -> float:
        with self.lock:
            price, asked = self.known.get(name, (0.0, 0.0))
        if time.monotonic() - asked > 0.05:
            price = self.ask(name)
            with self.lock:
                self.known[name] = price, time.monotonic()
        return price

    def ask(self, name: str) -> float:
        """Ask the server."""
        time.sleep(0.01)
        return float(len(name))


prices = Prices()


@app.get("/price/<name>")
def price(name: str) -> dict[str, float]:
    """The price of something."""
    return {name: prices.of(name)}


database = Path(tempfile.gettempdir()) / f"shop-{os.getpid()}.sqlite"
enlarged = {"pool_size": THREADS} if "stock" in REPAIRED else {}
engine = create_engine(f"sqlite:///{database}", **enlarged)


@event.listens_for(engine, "connect")
def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The network to the database, and the time that it takes to open a connection over that.
    time.sleep(0.02)
    connection.create_function("query", 0, lambda: time.sleep(SLOW))


@app.get("/stock")
def stock() -> dict[str, int]:
    """How much there is."""
    with engine.connect() as connection:
        connection.execute(text("select query()"))
    return {"stock": 1}


class SlowFile(logging.Handler):
    """A log on a slow disk."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        time.sleep(0.002)


visits = logging.getLogger("visits")
visits.setLevel(logging.INFO)
visits.propagate = False
if "visit" in REPAIRED:
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    visits.addHandler(logging.handlers.QueueHandler(lines))
    logging.handlers.QueueListener(lines, SlowFile()).start()
else:
    visits.addHandler(SlowFile())


@app.get("/visit")
def visit() -> dict[str, int]:
    """Log the visit."""
    visits.info("a visit")
    return {"visit": 1}
