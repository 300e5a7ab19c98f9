"""What goes wrong with calls in a cluster, beside the calls themselves."""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import BrokenExecutor, CancelledError

from distributed import Client, KilledWorker

from ..processes import WorkerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "FORKED",
    "ClusterLost",
    "cancelled_in_cluster",
    "check_process",
    "check_running",
    "lost_with",
    "was_restarted",
    "worker_died",
]


FORKED = "the client of a cluster does not survive a fork; make a Client and a DaskExecutor in the child"


class ClusterLost(BrokenExecutor):
    """The cluster cannot be reached: its client is closed, or the connection to the scheduler is gone.

    The calls that had not ended then have failed with this error. Some of them may have been run all the
    same. It is a :exc:`~concurrent.futures.BrokenExecutor`, so that programs for the standard pools handle
    it.
    """


#: The clients of the process that this one was forked from. Their event loops run there.
_clients_of_the_parent: weakref.WeakSet[Client] = weakref.WeakSet()


def _remember_clients_of_the_parent() -> None:
    _clients_of_the_parent.update(getattr(Client, "_instances", ()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_clients_of_the_parent)


def check_process(client: Client) -> None:
    """Raise RuntimeError if the client is one of the process that this one was forked from."""
    # This module may have been imported only after the fork.
    runner: Any = getattr(client, "_loop_runner", None)
    # Clients and clusters may share the event loop of one of them.
    _, runner = getattr(runner, "_all_loops", {}).get(client.loop, (0, runner))
    thread = getattr(getattr(runner, "_loop_thread", None), "_thread", None)
    is_of_the_parent = isinstance(thread, threading.Thread) and not thread.is_alive()
    if is_of_the_parent or client in _clients_of_the_parent:
        raise RuntimeError(FORKED)


def check_running(client: Client) -> None:
    """Raise ClusterLost unless the client is connected to its scheduler."""
    status = client.status
    if status == "running":
        return
    if status in ("connecting", "newly-created"):
        raise ClusterLost("the client of the cluster has lost its connection to the scheduler")
    raise ClusterLost("the client of the cluster is closed")


def lost_with(client: Client, error: Exception) -> ClusterLost | None:
    """Return ClusterLost if a request of the client has failed because the connection is gone, else None."""
    try:
        check_running(client)
    except ClusterLost as gone:
        lost = gone
    else:
        # The client does not know yet. CommClosedError is an OSError, and so is TimeoutError.
        is_of_transport = isinstance(error, OSError) or "ConnectionPool is closed" in str(error)
        if not is_of_transport:
            return None
        lost = ClusterLost(f"the client of the cluster has lost its connection to the scheduler: {error}")
    lost.__cause__ = error
    # Of the frames here nobody wants to know.
    return lost.with_traceback(None)


def cancelled_in_cluster(client: Client, name: str, reason: object) -> Exception:
    """What has happened to a call which the client says was cancelled, though not by its future."""
    unknown = f"so it is not known whether the call of {name} has ended"
    try:
        check_running(client)
    except ClusterLost as lost:
        return ClusterLost(f"{lost}, {unknown}")
    if getattr(reason, "reason", None) == "scheduler-connection-lost":
        # It has found the scheduler again, or another one, which knows nothing of the call.
        return ClusterLost(f"the client of the cluster had lost its connection to the scheduler, {unknown}")
    words = f": {reason}" if reason else ""
    return CancelledError(f"the call of {name} was cancelled in the cluster, not by its future{words}")


def was_restarted(reason: object) -> bool:
    """Whether the client says that a call was cancelled because the cluster was restarted."""
    return getattr(reason, "reason", None) == "scheduler-restart"


def worker_died(name: str, error: KilledWorker) -> WorkerDied:
    """What is raised for a call whose workers have died."""
    try:
        _, worker, failures = error.args
        last = getattr(worker, "address", worker)
        if failures:
            who = f"{failures + 1} workers died while they"
            where = f"the last of them at {last}"
        else:
            who, where = "a worker died while it", f"at {last}"
        message = f"{who} ran the call of {name}, {where}"
    except (TypeError, ValueError):  # another version of distributed
        message = f"the workers that ran the call of {name} died: {error}"
    return WorkerDied(message)
