"""A client with a rate limit: a bucket of tokens under a condition, which a Timer fills again and again."""

from __future__ import annotations

import threading

SIZE = 4_000
THREADS = 16
SECONDS = 0.005
TOKENS = 50


class Bucket:
    """Gives out tokens: so many in each stretch of time, and no more."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._tokens = TOKENS
        self._closed = False
        self._plan()

    def _plan(self) -> None:
        self._timer = threading.Timer(SECONDS, self._fill)
        self._timer.start()

    def _fill(self) -> None:
        with self._filled:
            if not self._closed:
                self._tokens = TOKENS
                self._filled.notify_all()
                self._plan()

    def take(self) -> None:
        """Take a token, as soon as there is one."""
        with self._filled:
            while not self._tokens:
                self._filled.wait()
            self._tokens -= 1

    def close(self) -> None:
        """Fill it no more."""
        with self._filled:
            self._closed = True
            self._timer.cancel()


def main(size: int) -> str:
    """Make that many requests, as fast as the limit allows."""
    bucket = Bucket()
    lock = threading.Lock()
    made: list[int] = []

    def request(first: int) -> None:
        for number in range(first, size, THREADS):
            bucket.take()
            with lock:
                made.append(number)

    threads = [threading.Thread(target=request, args=[first]) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bucket.close()
    return f"{len(made)} requests, sum {sum(made)}"


if __name__ == "__main__":
    print(main(SIZE))
