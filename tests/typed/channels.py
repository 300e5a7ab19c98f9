"""The types of `oxthreads.channels`."""

from __future__ import annotations

from typing import assert_type

from oxthreads.aio import (
    AsyncBroadcast,
    AsyncChannel,
    AsyncSubscription,
    AsyncWatch,
    AsyncWatchReader,
    as_async,
)
from oxthreads.channels import Broadcast, Channel, Subscription, Watch, WatchReader
from oxthreads.waiting import put, select


def channel() -> None:
    words: Channel[str] = Channel(3, on_full="drop_oldest")
    words.send("word", timeout=1)
    words.send(1)  # type: ignore[arg-type]
    assert_type(words.receive(), str)
    assert_type(words.receive_nowait(), str)
    for word in words:
        assert_type(word, str)
    with words as entered:
        assert_type(entered, Channel[str])
    assert_type(words.dropped, int)
    assert_type(select(words)[1], str)
    assert_type(select(put(words, "word"))[1], None)
    Channel(on_full="wait")  # type: ignore[arg-type]


def broadcast() -> None:
    prices: Broadcast[float] = Broadcast(10, on_lag="block")
    subscription = prices.subscribe()
    assert_type(subscription, Subscription[float])
    assert_type(subscription.receive(timeout=1), float)
    assert_type(subscription.broadcast, Broadcast[float])
    assert_type(select(subscription)[1], float)
    prices.send("dear")  # type: ignore[arg-type]


def watch() -> None:
    level = Watch("info")
    assert_type(level.value, str)
    assert_type(level.update(str.upper), str)
    assert_type(level.wait_for(lambda value: value == "debug", timeout=1), str)
    reader = level.subscribe()
    assert_type(reader, WatchReader[str])
    assert_type(reader.changed(), str)
    assert_type(select(reader)[1], str)
    level.set(1)  # type: ignore[arg-type]


async def views() -> None:
    words: Channel[str] = Channel()
    view = as_async(words)
    assert_type(view, AsyncChannel[str])
    assert_type(await view.receive(), str)
    async with view as entered:
        assert_type(entered, AsyncChannel[str])
    async for word in view:
        assert_type(word, str)
    prices: Broadcast[float] = Broadcast(1)
    assert_type(as_async(prices), AsyncBroadcast[float])
    assert_type(as_async(prices.subscribe()), AsyncSubscription[float])
    assert_type(await as_async(prices).subscribe().receive(), float)
    level = Watch("info")
    assert_type(as_async(level), AsyncWatch[str])
    assert_type(as_async(level.subscribe()), AsyncWatchReader[str])
    assert_type(await as_async(level).subscribe().changed(), str)
    assert_type(await as_async(level).wait_for(str.isupper), str)
