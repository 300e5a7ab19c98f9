"""The workers of a cluster on this machine."""

from __future__ import annotations

import time
from typing import Any

from tests.support.waiting import TIMEOUT_SECONDS


def until_two_workers(client: Any) -> None:
    """Return once the cluster of the client has two workers.

    A worker that was killed is started again by its nanny. But not always: distributed gives up a nanny
    whose worker dies in the moment after its start, or takes long to start. The cluster replaces it then.
    """
    end = time.monotonic() + 3 * TIMEOUT_SECONDS
    while True:
        try:
            client.wait_for_workers(2, timeout=1)
        except TimeoutError:
            assert time.monotonic() < end, f"the cluster has only {client.cluster}"
            client.cluster.scale(2)
        else:
            return
