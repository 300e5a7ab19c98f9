"""Calls in a cluster: an executor on dask.distributed.

:class:`DaskExecutor` gives calls to the workers of a cluster, and returns the futures of
:mod:`oxthreads.concurrent.futures`. So everything that takes these futures takes calls in a cluster, too:
``wait``, ``as_completed``, ``select``, coroutines and task groups.

It needs the package distributed: ``pip install 'oxthreads[dask]'``. The workers of the cluster do not need
oxthreads. `docs/dask.md` tells how to go from a pool of threads to a cluster, and what changes.
"""

from __future__ import annotations

try:
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    _message = "oxthreads.dask needs the package distributed: pip install 'oxthreads[dask]'"
    raise ImportError(_message, name=error.name) from error

from ._errors import ClusterLost
from ._executor import DaskExecutor, DaskExecutorView

__all__ = ["ClusterLost", "DaskExecutor", "DaskExecutorView"]

for _public in (ClusterLost, DaskExecutor, DaskExecutorView):
    _public.__module__ = __name__
