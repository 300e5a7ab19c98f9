"""What ``oxthreads compare`` is made of; :mod:`oxthreads.compare` is its entry.

``launch``      a bare interpreter that runs one script, and measures nothing but that script
``measurement`` one run: its times, memory, context switches, exit code and captured output
``output``      captured output: what is set aside in comparing it, fingerprints, differing lines
``rounds``      the interleaved runs of both back ends, and whether their results are the same
``report``      the table and the JSON document
"""
