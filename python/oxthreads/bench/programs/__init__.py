"""Whole programs, as people write them. ``oxthreads bench programs`` runs each on both libraries.

Each program is a file of its own, which knows nothing of oxthreads, and can be run by itself:
``python worker_pool.py``. It has:

* ``SIZE``: how much there is to do, so that a run takes about half a second on the standard library;
* ``main(size)``: the program, which returns a text that is the same in every run;
* ``surroundings()``, if it needs files or another process: a context manager around ``main``, whose value is
  the second argument of ``main``. The folder ``beside`` has what runs in those processes.
"""
