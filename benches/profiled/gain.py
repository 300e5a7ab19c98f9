"""What the repairs of `shop.py` gain: requests per second before and after, in pairs.

    pip install gunicorn flask sqlalchemy; apt install wrk
    python benches/profiled/gain.py [--pairs N] [--oxthreads] ROUTE ...

ROUTE is "price", "stock" or "visit". The servers run without a profile: on the standard library, or on
oxthreads. In each pair there is one run before and one after, and the order changes from pair to pair.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATHS = {"price": "/price/apples", "stock": "/stock", "visit": "/visit"}
THREADS = 32
SECONDS = 5


def requests_per_second(route: str, repaired: str, back_end: list[str]) -> float:
    """Start the server, put it under load, and stop it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gunicorn = ["-m", "gunicorn", "--worker-class=gthread", f"--threads={THREADS}", "--log-level=error"]
    server = subprocess.Popen(
        [sys.executable, *back_end, *gunicorn, f"--bind=127.0.0.1:{port}", "shop:app"],
        cwd=HERE,
        env={**os.environ, "REPAIRED": repaired},
    )
    try:
        while True:
            try:
                with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                    connection.request("GET", PATHS[route])
                    connection.getresponse().read()
                break
            except OSError:
                if server.poll() is not None:
                    raise
                time.sleep(0.1)
        address = f"http://127.0.0.1:{port}{PATHS[route]}"
        load = ["wrk", "-t1", f"-c{THREADS}", f"-d{SECONDS}s", address]
        said = subprocess.run(load, capture_output=True, text=True, check=True).stdout
    finally:
        server.terminate()
        server.wait()
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return float(found[1])


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("routes", nargs="+", choices=PATHS)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--oxthreads", action="store_true", help="on oxthreads, not on the standard library")
    options = parser.parse_args()
    back_end = ["-m", "oxthreads"] if options.oxthreads else []
    for route in options.routes:
        rates: dict[str, list[float]] = {"": [], route: []}
        for pair in range(options.pairs):
            for repaired in sorted(rates, reverse=pair % 2 == 1):
                rates[repaired].append(requests_per_second(route, repaired, back_end))
        for words, found in (("before", rates[""]), ("after", rates[route])):
            numbers = " ".join(f"{rate:.0f}" for rate in found)
            print(f"{route} {words}: best {max(found):.0f}, median {statistics.median(found):.0f}: {numbers}")
        ratios = [after / before for before, after in zip(rates[""], rates[route], strict=True)]
        middle = statistics.median(ratios)
        print(f"{route}: ratio {middle:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
