"""Runs one program of the folder ``programs``, and appends to a file how long its ``main`` took.

It is a script, which ``python`` and ``python -m oxthreads`` run: ``timed_program.py PROGRAM DIVISOR FILE``.

The time is that of ``main`` alone. The program has been imported, and its surroundings are there. Otherwise
the start of the interpreter, imports, and the start of other processes would be a part of every time. They
take up to a third of a second, as long as some programs take, and the ratio would be nearer to 1 than what
the program gains or loses. What a process costs at its start is measured by the kind ``startup``.

The line in the file is JSON: ``library`` (what the program has run on), ``wall_seconds``, and ``cpu_seconds``
(of all threads of this process, and of the children that have ended meanwhile).
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows has no such module.
    resource = None  # type: ignore[assignment]


def load(file: str) -> Any:
    """Return the program as a module. Its part under ``if __name__ == "__main__"`` does not run.

    Args:
        file: the path of the program.
    """
    spec = importlib.util.spec_from_file_location("program", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["program"] = module
    spec.loader.exec_module(module)
    return module


def library() -> str:
    """Return which library the name `threading.Semaphore` stands for now."""
    # A class of a mirror has the module of the standard one as its own, but not its base.
    modules = {base.__module__.partition(".")[0] for base in threading.Semaphore.__mro__}
    return "oxthreads" if "oxthreads" in modules else "standard"


def cpu_seconds() -> float:
    """Return the CPU time of this process, and of its children that have ended."""
    own = time.process_time()
    if resource is None:
        return own
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


def main(program: str, divisor: int, file: str) -> None:
    """Run a program, print its result, and append the times to the file.

    Args:
        program: the path of the program.
        divisor: the size of the program is divided by it.
        file: the path of the file, which may not exist yet.
    """
    module = load(program)
    size = max(1, module.SIZE // divisor)
    surroundings = getattr(module, "surroundings", None)
    with surroundings() if surroundings else contextlib.nullcontext() as given:
        arguments = [size, given] if surroundings else [size]
        gc.collect()
        cpu, wall = cpu_seconds(), time.perf_counter()
        result = module.main(*arguments)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    print(result)
    times = {"library": library(), "wall_seconds": wall, "cpu_seconds": cpu}
    with Path(file).open("a", encoding="utf-8") as record:
        print(json.dumps(times), file=record)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
