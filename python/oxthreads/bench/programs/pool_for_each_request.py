"""A pool made for each request: a request asks eight services at the same time, and waits for all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

SIZE = 600
SERVICES = 8


def ask(service: int, request: int) -> int:
    """Return the answer of a service."""
    return (request * 31 + service) % 1_009


def handle(request: int) -> int:
    """Ask all services, and add their answers."""
    with ThreadPoolExecutor(max_workers=SERVICES) as pool:
        return sum(pool.map(ask, range(SERVICES), [request] * SERVICES))


def main(size: int) -> str:
    """Handle that many requests, one after the other."""
    return f"sum {sum(map(handle, range(size)))}"


if __name__ == "__main__":
    print(main(SIZE))
