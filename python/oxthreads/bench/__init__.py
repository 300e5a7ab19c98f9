"""``oxthreads bench``: the standard library and oxthreads, scenario by scenario, in one process.

Each scenario is written once and run on every library that can do it. Where to look:

* :mod:`.scenario`: what a scenario, its kind, its goal and its result are.
* :mod:`.libraries` and :mod:`.peers`: what a scenario is run on.
* :mod:`.rounds`: how a round is timed, and how those of several libraries take turns.
* :mod:`.locks`, :mod:`.queues`, :mod:`.pools`: the scenarios that are timed by the operation, and
  :mod:`.growth`: some of them with more and more threads, and with longer and longer tasks.
* :mod:`.calls`, :mod:`.memory`, :mod:`.startup`, :mod:`.latency`, :mod:`.parallelism`: other questions.
* :mod:`.catalogue`: all of them, and how names select from them.
* :mod:`.command`, :mod:`.report`, :mod:`.plot`: the command line, and what it shows.

Importing this package imports nothing else.
"""
