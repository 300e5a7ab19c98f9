"""The tasks that the scheduler of a cluster has."""

from __future__ import annotations

import gc
import time
from typing import Any

from tests.support.waiting import TIMEOUT_SECONDS


def _keys(dask_scheduler: Any) -> list[str]:
    return [str(key) for key in dask_scheduler.tasks]


def keys_in_scheduler(client: Any, prefix: str = "") -> list[str]:
    """Return the keys of the tasks; only those that begin with the prefix."""
    return [key for key in client.run_on_scheduler(_keys) if key.startswith(prefix)]


def until_forgotten(client: Any, prefix: str = "") -> None:
    """Return once the scheduler has no task whose key begins with the prefix."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while keys := keys_in_scheduler(client, prefix):
        assert time.monotonic() < end, f"the scheduler still has {keys}"
        # A future of the cluster may be in a cycle, with the traceback of an earlier test for example.
        gc.collect()
        time.sleep(0.01)
