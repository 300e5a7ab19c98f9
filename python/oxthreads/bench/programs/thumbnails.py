"""Small pictures of large ones: a pool shrinks pictures, and compresses them, which releases the GIL."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

SIZE = 300
WORKERS = 4
SIDE = 256
SHRINK = 2


def shrink(number: int) -> bytes:
    """Make a picture, take every second pixel of every second row, and compress them."""
    rows = [bytes((x * (y + number)) & 255 for x in range(16)) * (SIDE // 16) for y in range(SIDE)]
    return zlib.compress(b"".join(row[::SHRINK] for row in rows[::SHRINK]) * 4, 9)


def main(size: int) -> str:
    """Shrink that many pictures."""
    checksum = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for small in pool.map(shrink, range(size)):
            checksum = zlib.crc32(zlib.decompress(small), checksum)
    return f"checksum {checksum}"


if __name__ == "__main__":
    print(main(SIZE))
