"""The types of `oxthreads.locks`, and of `DelayQueue`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from oxthreads.aio import as_async
from oxthreads.channels import DelayQueue, Scheduled
from oxthreads.locks import Limiter, ReadHold, RWLock, WriteHold, once, singleflight
from oxthreads.waiting import select


def lock() -> None:
    shared = RWLock()
    with shared.read() as reading:
        assert_type(reading, ReadHold)
    with shared.write(timeout=1) as writing:
        assert_type(writing, WriteHold)
        writing.downgrade()
    assert_type(shared.acquire_read(timeout=0.5), bool)
    assert_type(shared.readers, int)
    shared.read("soon")  # type: ignore[arg-type]


def pace() -> None:
    limiter = Limiter(10, per=0.5, burst=2, name="service")
    with limiter as entered:
        assert_type(entered, Limiter)
    assert_type(limiter.acquire(timeout=1, amount=2), bool)
    assert_type(select(limiter)[1], bool)
    limiter.rate = 5
    limiter.acquire("now", amount="two")  # type: ignore[arg-type]
    limiter.available = 3  # type: ignore[misc]


async def times() -> None:
    items = DelayQueue[str](maxsize=10)
    assert_type(items.put("text", delay=0.5), Scheduled)
    assert_type(items.get(), str)
    assert_type(items.peek(), str)
    assert_type(items.next_time(), float | None)
    assert_type(select(items)[1], str)
    assert_type(await as_async(items).get(), str)
    assert_type(await as_async(items).put_at("text", 1.0), Scheduled)
    assert_type(await as_async(Limiter(1)).acquire(amount=1), bool)
    items.put(1)  # type: ignore[arg-type]


@once
def connect() -> str:
    return "connection"


@once
async def connect_later() -> str:
    return "connection"


@once  # type: ignore[arg-type]
def two_arguments(host: str, port: int) -> str:
    return f"{host}:{port}"


class Client:
    @once
    def connect(self) -> bytes:
        return b""

    @once
    async def connect_later(self) -> bytes:
        return b""

    @singleflight(key=lambda self, user: user)
    def load(self, user: str) -> int:
        return len(user)


@singleflight
def load(user: str, *, fresh: bool = False) -> list[str]:
    return [user]


def key_of(user: str, fresh: bool = False) -> str:
    return user


@singleflight(key=key_of)
async def load_later(user: str, fresh: bool = False) -> list[str]:
    return [user]


async def calls(client: Client) -> None:
    assert_type(connect(), str)
    assert_type(await connect_later(), str)
    assert_type(client.connect(), bytes)
    assert_type(Client.connect(client), bytes)
    assert_type(await client.connect_later(), bytes)
    assert_type(client.load("ann"), int)
    assert_type(load("ann", fresh=True), list[str])
    assert_type(await load_later("ann"), list[str])
    bound: Callable[[], bytes] = client.connect
    connect(1)  # type: ignore[call-arg]
    load(1)  # type: ignore[arg-type]
    await load_later()  # type: ignore[call-arg]
    anything: Any = bound
    once(anything)
