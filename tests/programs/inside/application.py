"""The application that the servers run. Its page uses a lock, a queue and a thread pool."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

app = Flask(__name__)
lock = threading.Lock()
recent: queue.Queue[int] = queue.Queue(maxsize=100)
executor = ThreadPoolExecutor(max_workers=2)
visits = 0


@app.get("/")
def index() -> dict[str, object]:
    """Count the visit, and let the pool compute the square of the count."""
    global visits  # noqa: PLW0603 - what the lock is for
    with lock:
        visits += 1
        visit = visits
    square = executor.submit(pow, visit, 2)
    try:
        recent.put_nowait(visit)
    except queue.Full:
        recent.get()
        recent.put(visit)
    return {"visit": visit, "square": square.result()}


@app.get("/lock")
def kind() -> str:
    """The base classes of the queue's class, which show the library that it comes from."""
    return repr(type(recent).__mro__)
