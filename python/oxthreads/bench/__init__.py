"""``oxthreads bench``: measures the standard library, oxthreads and other libraries in one process.

A *scenario* is something to measure. It is written once and run on every library that supports it. A
*contender* is one of the things that a scenario compares, usually a library; a *peer* is a library other
than the standard one and oxthreads. The modules:

* :mod:`.scenario`: the classes of scenarios, kinds, goals and results.
* :mod:`.libraries` and :mod:`.peers`: the libraries on which scenarios run.
* :mod:`.rounds`: how a round is timed, and how the rounds of several contenders alternate.
* :mod:`.locks`, :mod:`.queues`, :mod:`.pools`: scenarios that measure the time of an operation.
  :mod:`.growth`: some of them with a growing number of threads, or with longer tasks. :mod:`.reuse`: with
  threads that are used again.
* :mod:`.calls`, :mod:`.memory`, :mod:`.startup`, :mod:`.latency`, :mod:`.parallelism`: other scenarios.
* :mod:`.processes`: pools of processes, which :mod:`.process_pools` has for each library.
* :mod:`.program_runs`: whole programs, which are in the folder ``programs``; :mod:`.timed_program` runs one.
* :mod:`.catalogue`: all scenarios, and how names select some of them.
* :mod:`.command`, :mod:`.report`, :mod:`.plot`: the command line, and its output.

Importing this package imports nothing else.
"""
