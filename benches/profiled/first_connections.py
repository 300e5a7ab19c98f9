"""32 threads take their first connection from SQLAlchemy's pool at once. Each new connection is prepared.

With "repaired" as its argument, one connection is taken before.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool

THREADS = 32

engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=THREADS)
ready = threading.Barrier(THREADS)


@event.listens_for(engine, "connect")
def _prepare(_connection: sqlite3.Connection, _record: object) -> None:
    time.sleep(0.02)  # SET statements, over the network


def connect() -> None:
    """Take a connection, together with all others."""
    ready.wait()
    with engine.connect():
        time.sleep(0.05)


def main() -> None:
    """Take all connections, and say how long that took."""
    if sys.argv[1:] == ["repaired"]:
        engine.connect().close()
    begun = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for call in [pool.submit(connect) for _ in range(THREADS)]:
            call.result()
    print(f"connections {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    main()
