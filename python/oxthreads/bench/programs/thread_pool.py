"""multiprocessing.pool.ThreadPool: map, in chunks that it chooses, and imap, item by item."""

from __future__ import annotations

import hashlib
from multiprocessing.pool import ThreadPool

SIZE = 45_000
WORKERS = 4


def digest(number: int) -> int:
    """Return two bytes of a hash, as a number."""
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:2], "big")


def main(size: int) -> str:
    """Map that many numbers, in three ways."""
    with ThreadPool(WORKERS) as pool:
        mapped = sum(pool.map(digest, range(size)))
        in_order = sum(pool.imap(digest, range(size)))
        as_they_come = sum(pool.imap_unordered(digest, range(size)))
    return f"sums {mapped}, {in_order}, {as_they_come}"


if __name__ == "__main__":
    print(main(SIZE))
