"""The parts of ``oxthreads compare``. The command line is in :mod:`oxthreads.compare`.

A *back end* is the standard library or oxthreads: the library on which a script runs. The modules:

* :mod:`.launch`: the small program that starts one script, and measures only this script.
* :mod:`.measurement`: one run of a script: times, memory, context switches, exit code, captured output.
* :mod:`.output`: how captured output is stored and compared.
* :mod:`.rounds`: the alternating runs on both back ends, and whether their results are the same.
* :mod:`.report`: the table and the JSON document.
"""
