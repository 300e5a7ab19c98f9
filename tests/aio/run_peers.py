"""Run the tests of janus and culsans against `oxthreads.aio.Queue`: ``python -m tests.aio.run_peers``.

It downloads their source distributions, and puts a module with the name of the library in the way, which has
the queues of oxthreads under its names. Prints how many tests pass, and why the others do not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from xml.etree import ElementTree

#: The module, and the version whose tests are run.
PEERS = {"janus": "2.0.0", "culsans": "0.11.0"}

#: They use what only culsans has (`putting`, `peek`, `clear`), fail, and then wait for threads without end.
LEFT_OUT = "not test_growing_and_shrinking and not test_peek and not test_clear"

STAND_IN = """
import asyncio as _asyncio
import queue as _queue
from oxthreads import queue as _ours
import threading as _threading
from oxthreads import aio as _aio
from oxthreads.aio import QueueShutDown
class _Internals:
    # The tests look at it after the part that matters.
    def __init__(self, maxsize=0):
        super().__init__(maxsize)
        self._sync_mutex = _threading.Lock()
        self.sync_q._parent = self
class Queue(_Internals, _aio.Queue): pass
class LifoQueue(_Internals, _aio.LifoQueue): pass
class PriorityQueue(_Internals, _aio.PriorityQueue): pass
AsyncQueueEmpty, AsyncQueueFull = _asyncio.QueueEmpty, _asyncio.QueueFull
AsyncQueueShutDown = getattr(_asyncio, "QueueShutDown", QueueShutDown)
SyncQueueEmpty, SyncQueueFull, SyncQueueShutDown = _queue.Empty, _queue.Full, _ours.ShutDown
UnsupportedOperation = ValueError
"""


#: Ends the tests although threads wait for ever that tests have left behind.
LEAVE = """
import os
def pytest_unconfigure():
    os._exit(0)
"""


def pip(*arguments: str) -> None:
    """Run pip."""
    subprocess.run([sys.executable, "-m", "pip", "-q", *arguments], check=True, stdin=subprocess.DEVNULL)


def run(name: str, version: str, folder: Path) -> bool:
    """Run the tests of one of them. Returns whether they could be run."""
    pip("download", "--no-deps", "--no-binary", ":all:", f"{name}=={version}", "-d", str(folder))
    with tarfile.open(folder / f"{name}-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    # Away from the library itself, which would be found first.
    unpacked, tests = folder / f"{name}-{version}" / "tests", folder / f"tests_of_{name}"
    shutil.move(unpacked / name if (unpacked / name).is_dir() else unpacked, tests)
    stand_in = folder / "stand_in"
    stand_in.mkdir(exist_ok=True)
    (stand_in / f"{name}.py").write_text(STAND_IN)
    (stand_in / "leave.py").write_text(LEAVE)
    report = folder / f"{name}.xml"
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "leave",
                "-p",
                "pytest_asyncio",
                "-p",
                "no:cacheprovider",
            ),
            *("-o", "asyncio_mode=auto", "--timeout", "5", "--timeout-method", "signal", "-k", LEFT_OUT),
            *("--rootdir", str(tests), "--import-mode", "importlib", "--benchmark-disable"),
            *("--junitxml", str(report), "--tb", "short", str(tests)),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(stand_in), str(folder / "libraries")])},
        cwd=tests,
        stdin=subprocess.DEVNULL,
        stdout=(folder / f"{name}.log").open("w"),
        timeout=1200,
        check=False,
    )
    if not report.exists():
        print((folder / f"{name}.log").read_text()[-3000:])
        return False
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    count = {each: int(suite.get(each, 0)) for each in ("tests", "failures", "errors", "skipped")}
    passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    print(f"{name} {version}: {passed} of {count['tests']} pass, {count['skipped']} are skipped")
    for case in suite.iter("testcase"):
        for failure in [*case.iter("failure"), *case.iter("error")]:
            print(f"  {case.get('name')}: {(failure.get('message') or '').splitlines()[0][:150]}")
    return True


def main() -> int:
    """Run the tests of both."""
    folder = Path(tempfile.mkdtemp(prefix="oxthreads-peers-"))
    pip("install", "--target", str(folder / "libraries"), "pytest-asyncio", "pytest-benchmark")
    could = [run(name, version, folder) for name, version in PEERS.items()]
    print(f"the reports are in {folder}")
    return 0 if all(could) else 1


if __name__ == "__main__":
    sys.exit(main())
