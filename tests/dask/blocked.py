"""Threads that wait for room in a pool."""

from __future__ import annotations

import threading
from typing import Any

from tests.dask.calls import square
from tests.support.waiting import TIMEOUT_SECONDS, spin_until


class BlockedSubmissions:
    """So many threads that submit a call to a full pool. They wait when this has been made."""

    def __init__(self, pool: Any, count: int) -> None:
        self._pool = pool
        self._errors: list[Exception] = []
        # Without `daemon`, a test that fails would not end.
        self._threads = [threading.Thread(target=self._submit, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        spin_until(lambda: pool._link._blocked == count)

    def _submit(self) -> None:
        try:
            self._pool.submit(square, 1)
        except Exception as error:
            self._errors.append(error)

    def errors(self) -> list[Exception]:
        """Wait for the threads, and return what their submissions have raised."""
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)
        return self._errors
