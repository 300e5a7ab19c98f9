"""A Flask application on two threaded servers under load: errors, requests per second, memory."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.programs.environment import INSIDE, Workshop, environment
from tests.programs.suites import BACK_ENDS, BackEnd

__all__ = ["SERVERS", "Server", "complaints", "is_available", "measure"]

FLASK = "flask==3.1.3"
CONNECTIONS = 8

#: Seconds of load before the memory is measured, and seconds that a server may take to start.
WARM_UP = 5
TIMEOUT_SECONDS = 30.0

#: MiB by which the memory may grow more than on the standard library, because allocators are not exact.
TOLERANCE = 8.0

#: One process, whose threads answer.
GTHREAD = ("--worker-class=gthread", "--workers=1", f"--threads={CONNECTIONS}")


@dataclass(frozen=True)
class Server:
    """A server from the index, and how it is started."""

    name: str
    version: str
    arguments: tuple[str, ...]


SERVERS = (
    Server(
        "gunicorn",
        "27.0.1",
        ("-m", "gunicorn", *GTHREAD, "--log-level=error", "--bind=127.0.0.1:{port}", "application:app"),
    ),
    Server(
        "waitress",
        "3.0.2",
        ("-m", "waitress", "--threads", str(CONNECTIONS), "--listen", "127.0.0.1:{port}", "application:app"),
    ),
)


@dataclass
class Load:
    """The result of a server under load."""

    requests_per_second: float
    errors: int
    memory_mib: float
    growth_mib: float


def is_available() -> bool:
    """Whether there is a program that makes the load, and a system that reports the memory of a process."""
    return _tool() is not None and Path("/proc/self/statm").exists()


def _tool() -> str | None:
    return next((tool for tool in ("wrk", "ab") if shutil.which(tool)), None)


def measure(server: Server, workshop: Workshop, seconds: int) -> dict[str, Any]:
    """Put *server* under load for *seconds* on each library in turn. Returns the figures for the record."""
    requirement = f"{server.name}=={server.version}"
    python = workshop.python(f"server-{server.name}-{server.version}", (requirement, FLASK))
    loads = {back_end: _measure(server, python, back_end, seconds) for back_end in BACK_ENDS}
    return {
        "program": server.name,
        "version": server.version,
        "tool": _tool(),
        "connections": CONNECTIONS,
        "seconds": seconds,
        "requests_per_second": {name: round(load.requests_per_second, 1) for name, load in loads.items()},
        "errors": {name: load.errors for name, load in loads.items()},
        "memory_mib": {name: round(load.memory_mib, 1) for name, load in loads.items()},
        "growth_mib": {name: round(load.growth_mib, 1) for name, load in loads.items()},
    }


def complaints(entry: dict[str, Any]) -> list[str]:
    """The faults of oxthreads that the figures of a server show."""
    found = []
    errors, growth = entry["errors"], entry["growth_mib"]
    if errors["oxthreads"]:
        found.append(f"{errors['oxthreads']} errors")
    if growth["oxthreads"] > max(growth["standard"], 0) + TOLERANCE:
        found.append(f"memory has grown by {growth['oxthreads']} MiB")
    if not entry["requests_per_second"]["oxthreads"]:
        found.append("no request was served")
    return found


def _measure(server: Server, python: Path, back_end: BackEnd, seconds: int) -> Load:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [argument.format(port=port) for argument in server.arguments]
    process = subprocess.Popen(
        [str(python), *BACK_ENDS[back_end], *arguments],
        cwd=INSIDE,
        env=environment({"OXTHREADS": "0"} if back_end == "standard" else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        lock = _whose_lock(port, process)
        if ("oxthreads" in lock) is not (back_end == "oxthreads"):
            raise RuntimeError(f"{server.name} did not run on {back_end}: {lock}")
        _load(port, WARM_UP)
        before = _memory(process.pid)
        rate, errors = _load(port, seconds)
        after = _memory(process.pid)
        return Load(rate, errors, after, after - before)
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _whose_lock(port: int, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
            connection.request("GET", "/lock")
            return connection.getresponse().read().decode()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server does not begin") from error
            time.sleep(0.1)


def _load(port: int, seconds: int) -> tuple[float, int]:
    """Make *seconds* of load. Returns the requests per second, and the number of all errors."""
    url = f"http://127.0.0.1:{port}/"
    if _tool() == "wrk":
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    else:
        command = ["ab", "-q", "-k", "-l", f"-c{CONNECTIONS}", f"-t{seconds}", "-n100000000", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests(?:/sec| per second):\s+([\d.]+)", said)
    if rate is None:
        raise RuntimeError(f"{command[0]} did not say how many requests there were: {said}")
    errors = 0
    for pattern in (r"Non-2xx[^:]*:\s+(\d+)", r"Failed requests:\s+(\d+)"):
        errors += sum(int(number) for number in re.findall(pattern, said))
    for line in re.findall(r"Socket errors: (.*)", said):
        errors += sum(int(number) for number in re.findall(r"\d+", line))
    return float(rate[1]), errors


def _memory(process: int) -> float:
    """The resident memory of the process and its descendants, in MiB."""
    total = 0.0
    folder = Path(f"/proc/{process}")
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            total += int(line.split()[1]) / 1024
    for children in folder.glob("task/*/children"):
        total += sum(_memory(int(child)) for child in children.read_text().split())
    return total
