"""Blocking calls from asyncio: tasks await asyncio.to_thread, as a web application does for a database."""

from __future__ import annotations

import asyncio
import sqlite3

SIZE = 4_000
AT_ONCE = 100


def query(number: int) -> int:
    """Ask a database of its own, in memory."""
    with sqlite3.connect(":memory:") as database:
        [(answer,)] = database.execute("select ? * 2", [number])
    database.close()
    return int(answer)


async def answer_all(size: int) -> int:
    """Ask that many questions, a hundred at once."""
    total = 0
    for first in range(0, size, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, size))
        total += sum(await asyncio.gather(*(asyncio.to_thread(query, number) for number in numbers)))
    return total


def main(size: int) -> str:
    """Ask that many questions."""
    return f"sum {asyncio.run(answer_all(size))}"


if __name__ == "__main__":
    print(main(SIZE))
