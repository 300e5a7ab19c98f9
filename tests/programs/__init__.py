"""Do programs of other people work the same on oxthreads as on the standard library?

``python -m tests.programs`` runs the tests of each program of :mod:`table` twice, under ``python`` and
under ``python -m oxthreads``, and compares which of them pass. With ``--record`` it writes the results to
``docs/compatibility.json`` and, for people, to ``docs/compatibility.md``.

This folder has no code of those programs. Their sources come from the package index when they are needed:
as source distributions, because wheels rarely contain tests. CPython's tests come with the interpreter.
"""
