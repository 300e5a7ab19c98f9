"""The program that whole processes run whose profile, trace or page is tested."""

from __future__ import annotations

import textwrap

__all__ = ["program_with_a_wait"]


def program_with_a_wait(variable: str = "", seconds: float = 0.0) -> str:
    """Return a program with one wait: "taker" waits in line 7, in `take`, for a lock that line 10 has taken.

    At the end it prints an environment variable and its arguments. It imports what is needed by what follows.

    Args:
        variable: the name of the environment variable.
        seconds: how long the wait lasts at least. If nothing records it, it may be that there is none.
    """
    return textwrap.dedent(f"""
        import os, subprocess, sys, threading, time; from oxthreads import _oxthreads
        lock, waits = threading.Lock(), threading.Event()

        def take():
            waits.set()
            with lock:
                pass

        with lock:
            thread = threading.Thread(target=take, name="taker")
            thread.start()
            waits.wait()
            while (_oxthreads.trace_runs() or _oxthreads.profile_runs()) and not any(
                sleep[3] == "Lock" for sleep in _oxthreads.asleep()
            ):
                time.sleep(0.001)
            time.sleep({seconds})
        thread.join()
        print(os.environ.get({variable!r}), sys.argv[1:])
        """)
