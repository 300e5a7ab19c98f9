"""Attacks on what must not be lost or stuck: exits, signals, forks, races, garbage, limits, hostile callers.

``python -m tests.siege`` makes every attack in full, several at once; ``--quick`` makes a
small part of each, as ``pytest tests/test_siege.py`` does. An interpreter that makes attacks needs oxthreads
and its ``test`` extra.

An attack makes child interpreters, and says how each must end (:class:`~tests.siege.attack.Attack`,
:class:`~tests.siege.attack.Program`). To add one, put a module beside this file that has a list of them::

    ATTACKS = [Attack(name="...", about="one line", full=10_000, quick=100, programs=programs)]

where ``programs(count)`` yields the children to run for so many of whatever the attack counts. What runs
inside of a child, unless it is a line or two, is a module of :mod:`tests.siege.inside`, which fails by an
exception and writes nothing to standard error otherwise.
"""

import sys
from pathlib import Path

#: Where the child interpreters run.
ROOT = Path(__file__).parents[2]

# What the tests share with the attacks: they import it as pytest lets them.
sys.path.insert(0, str(ROOT / "tests"))
