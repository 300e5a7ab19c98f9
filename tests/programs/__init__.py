"""Whether programs that nobody here wrote do on oxthreads what they do on the standard library.

``python -m tests.programs`` runs the tests of each program of :mod:`table` twice, under ``python`` and
under ``python -m oxthreads``, and compares which of them pass. With ``--record`` it writes what came
out to ``docs/compatibility.json`` and, for people, ``docs/compatibility.md``.

Nothing of those programs is kept here: sources come from the package index when they are needed, as
source distributions, since wheels rarely ship their tests; CPython's tests come with the interpreter.
"""
