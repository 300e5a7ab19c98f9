"""What goes wrong with calls in a cluster, beside the calls themselves."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, CancelledError

from distributed import KilledWorker

from ..processes import WorkerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ClusterLost", "cancelled_in_cluster", "check_running", "lost_with", "worker_died"]


class ClusterLost(BrokenExecutor):
    """The cluster cannot be reached: its client is closed, or the connection to the scheduler is gone.

    The calls that had not ended then have failed with this error. Some of them may have been run all the
    same. It is a :exc:`~concurrent.futures.BrokenExecutor`, so that programs for the standard pools handle
    it.
    """


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
    try:
        check_running(client)
    except ClusterLost as lost:
        return ClusterLost(f"{lost}, so it is not known whether the call of {name} has ended")
    words = f": {reason}" if reason else ""
    return CancelledError(f"the call of {name} was cancelled in the cluster, not by its future{words}")


def worker_died(name: str, error: KilledWorker) -> WorkerDied:
    """What is raised for a call whose workers have died."""
    try:
        _, worker, failures = error.args
        last = getattr(worker, "address", worker)
        message = f"{failures + 1} workers died while they ran the call of {name}, the last of them at {last}"
    except (TypeError, ValueError):  # another version of distributed
        message = f"the workers that ran the call of {name} died: {error}"
    return WorkerDied(message)
