"""Attacks: they try to make oxthreads lose something or hang.

They use exits, signals, forks, races, garbage, limits and hostile callers. ``python -m tests.stress`` makes
every attack in full, several at once. ``--quick`` makes a small part of each, as ``pytest
tests/stress/test_stress.py`` does. The interpreter needs oxthreads and its ``test`` extra.

An attack makes child interpreters, and says how each must end (:class:`~tests.stress.attack.Attack`,
:class:`~tests.stress.attack.Program`). To add one, put a module beside this file that has a list of them::

    ATTACKS = [Attack(name="...", about="one line", full=10_000, quick=100, programs=programs)]

An attack counts something, such as threads or seconds. ``programs(count)`` yields the children to run for
that count. The code that a child runs is a module of :mod:`tests.stress.inside`, unless it is a line or two.
Such a module fails by an exception, and otherwise writes nothing to standard error.
"""

from pathlib import Path

#: The directory in which the child interpreters run.
ROOT = Path(__file__).parents[2]
