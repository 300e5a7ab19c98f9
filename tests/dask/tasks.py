"""The tasks that the scheduler of a cluster has."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from tests.support.waiting import TIMEOUT_SECONDS, spin_until

distributed = pytest.importorskip("distributed", reason="distributed is not installed")


def _keys(dask_scheduler: Any) -> list[str]:
    return [str(key) for key in dask_scheduler.tasks]


def keys_in_scheduler(client: Any, prefix: str = "") -> list[str]:
    """Return the keys of the tasks; only those that begin with the prefix."""
    return [key for key in client.run_on_scheduler(_keys) if key.startswith(prefix)]


def cancel_task(client: Any) -> None:
    """Have the client cancel its only task, which it has been given or will be in a moment."""
    spin_until(lambda: client.futures)
    (key,) = client.futures
    client.cancel([distributed.Future(key, client)])


def until_forgotten(client: Any, prefix: str = "") -> None:
    """Return once the scheduler has no task whose key begins with the prefix."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while keys := keys_in_scheduler(client, prefix):
        assert time.monotonic() < end, f"the scheduler still has {keys}"
        # A future of the cluster may be in a cycle, with the traceback of an earlier test for example.
        gc.collect()
        time.sleep(0.01)
