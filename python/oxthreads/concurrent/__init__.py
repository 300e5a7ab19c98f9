"""The package of :mod:`oxthreads.concurrent.futures`, as :mod:`concurrent` is of the standard one."""
