"""Channels as coroutines use them: with threads and with each other, also if waits are cancelled."""

from __future__ import annotations

import asyncio
import gc
import queue
from typing import Any

import pytest

from oxthreads import aio
from oxthreads.aio import as_async
from oxthreads.channels import Broadcast, Channel, ClosedError, Lagged, Watch
from oxthreads.waiting import put
from tests.aio.cancelling import CancelledAt, CancelledWhileSuspended, at_each_step
from tests.aio.event_loops import EventLoops
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep


@pytest.mark.parametrize("capacity", [0, 1, 10])
def test_a_thread_sends_and_a_coroutine_receives(loops: EventLoops, capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)

    def produce() -> None:
        with channel:
            for number in range(300):
                channel.send(number)

    async def main() -> list[int]:
        return [number async for number in as_async(channel)]

    producer = Result(produce)
    assert loops.run(main) == list(range(300))
    producer.get()


@pytest.mark.parametrize("capacity", [0, 1, 10])
def test_a_coroutine_sends_and_a_thread_receives(loops: EventLoops, capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)

    async def main() -> None:
        async with as_async(channel) as view:
            assert view.sync is channel
            for number in range(300):
                await view.send(number)

    consumer = Result(list, channel)
    loops.run(main)
    assert consumer.get() == list(range(300))


def test_coroutines_meet_each_other(loops: EventLoops) -> None:
    channel: Channel[int] = Channel()
    view = as_async(channel)
    received: list[int] = []

    async def send() -> None:
        for number in range(20):
            await view.send(number)

    async def receive() -> None:
        for _ in range(20):
            received.append(await view.receive())

    async def main() -> None:
        await loops.together(send, receive)

    loops.run(main)
    assert received == list(range(20))


def test_the_end_is_told(loops: EventLoops) -> None:
    channel: Channel[int] = Channel()
    view = as_async(channel)

    async def wait(action: Any) -> bool:
        try:
            await action()
        except ClosedError:
            return True
        return False

    async def close() -> None:
        for _ in range(3):
            await loops.turn()
        view.close()

    async def main() -> list[Any]:
        return await loops.together(lambda: wait(view.receive), close)

    assert loops.run(main)[0] is True
    assert view.closed
    assert channel.closed

    async def afterwards() -> bool:
        return await wait(lambda: view.send(1))

    assert loops.run(afterwards) is True


def test_what_does_not_wait_is_as_for_threads(loops: EventLoops) -> None:
    channel: Channel[int] = Channel(1, "raise")
    view = as_async(channel)

    async def main() -> None:
        await view.send(1)
        with pytest.raises(queue.Full):
            await view.send(2)
        with pytest.raises(queue.Full):
            view.send_nowait(2)
        assert len(view) == 1
        assert view
        assert view.receive_nowait() == 1
        with pytest.raises(queue.Empty):
            view.receive_nowait()

    loops.run(main)


def test_a_subscription_of_a_coroutine(loops: EventLoops) -> None:
    broadcast: Broadcast[int] = Broadcast(2, on_lag="block")
    view = as_async(broadcast)
    of_thread = broadcast.subscribe()
    consumer = Result(list, of_thread)

    async def main() -> list[int]:
        received: list[int] = []
        async with view.subscribe() as mine:
            assert mine.sync.broadcast is broadcast

            async def receive() -> None:
                async for number in mine:
                    received.append(number)

            async def send() -> None:
                for number in range(50):
                    await view.send(number)
                view.close()

            await loops.together(receive, send)
        assert mine.closed
        return received

    assert loops.run(main) == list(range(50))
    assert consumer.get() == list(range(50))
    assert view.sync is broadcast
    assert view.closed


def test_a_slow_coroutine_is_told_what_it_has_missed(loops: EventLoops) -> None:
    broadcast: Broadcast[int] = Broadcast(2)
    mine = as_async(broadcast.subscribe())
    for number in range(5):
        as_async(broadcast).send_nowait(number)

    async def main() -> list[int]:
        with pytest.raises(Lagged) as caught:
            await mine.receive()
        assert (caught.value.missed, mine.missed) == (3, 3)
        return [await mine.receive(), mine.receive_nowait()]

    assert loops.run(main) == [3, 4]
    mine.close()
    assert mine.closed


def test_a_watched_value(loops: EventLoops) -> None:
    watch = Watch(0)
    view = as_async(watch)
    reader = view.subscribe()
    assert (view.sync, reader.sync.watch) == (watch, watch)

    async def main() -> None:
        assert view.value == 0
        setter = Result(watch.set, 1)
        assert await reader.changed() == 1
        setter.get()
        view.set(2)
        assert (reader.has_changed, reader.value) == (True, 2)
        assert await as_async(reader.sync).changed() == 2
        assert await view.wait_for(lambda value: value == 2) == 2

        async def wait() -> int:
            return await view.wait_for(lambda value: value >= 5)

        async def change() -> None:
            for value in range(3, 8):
                view.set(value)
                for _ in range(3):
                    await loops.turn()

        assert (await loops.together(wait, change))[0] in (5, 6, 7)
        with pytest.raises(ZeroDivisionError):
            await view.wait_for(lambda value: value / 0)
        view.set(9)
        view.close()
        assert [value async for value in reader] == [9]
        for wait_for_it in (reader.changed, lambda: view.wait_for(lambda _: False)):
            with pytest.raises(ClosedError):
                await wait_for_it()

    loops.run(main)
    assert view.closed


def test_a_value_that_keeps_changing_does_not_stop_the_loop(loops: EventLoops) -> None:
    watch = Watch(0)
    view = as_async(watch)
    seen: list[int] = []

    def accept(value: int) -> bool:
        watch.set(value + 1)  # there is a newer one whenever the predicate returns
        return value >= 50

    def reject(value: int) -> bool:
        watch.set(value + 1)
        return False

    async def wait() -> int:
        return await view.wait_for(accept)

    async def look() -> None:
        while watch.value < 50:
            seen.append(watch.value)
            await loops.turn()

    async def main() -> None:
        assert (await loops.together(wait, look))[0] == 50
        assert len(set(seen)) > 20
        assert not await loops.ends_in_time(lambda: view.wait_for(reject), 0.05)

    loops.run(main)


def test_a_select_of_a_coroutine(loops: EventLoops) -> None:
    channel, other = Channel[int](), Channel[int]()
    watch = Watch(0)
    reader = watch.subscribe()

    async def main() -> None:
        receiver = Result(other.receive)
        assert (await aio.select(channel, put(other, 1)))[1] is None
        assert receiver.get() == 1
        sender = Result(channel.send, 2)
        assert await aio.select(channel, put(other, 1), reader) == (channel, 2)
        sender.get()
        watch.set(3)
        assert await aio.select(channel, reader) == (reader, 3)
        channel.close()
        with pytest.raises(ClosedError) as caught:
            await aio.select(channel, reader)
        assert caught.value.source is channel

    loops.run(main)
    assert len(other) == 0


@pytest.mark.parametrize("capacity", [0, 5])
@pytest.mark.parametrize("kind", [CancelledAt, CancelledWhileSuspended])
def test_a_cancelled_receive_takes_nothing(kind: type[CancelledAt], capacity: int) -> None:
    async def receive(channel: Channel[int], received: list[int]) -> None:
        view = as_async(channel)
        for _ in range(3):
            received.append(await view.receive())

    async def round_of_test(victim: Any) -> None:
        channel: Channel[int] = Channel(capacity)
        received: list[int] = []
        task = victim(receive(channel, received))
        for _ in range(2):
            await asyncio.sleep(0)
        sent = 0
        for number in range(3):
            try:
                channel.send_nowait(number)
                sent += 1
            except queue.Full:
                pass
            await asyncio.sleep(0)
        for _ in range(4):
            await asyncio.sleep(0)
        channel.close()
        rest = list(channel)
        await asyncio.gather(task, return_exceptions=True)
        # In a rendezvous, what was sent has been received, or stays for the next.
        assert received + rest == list(range(3)) if capacity else len(received + rest) == sent

    assert asyncio.run(at_each_step(kind, round_of_test)) > 1


@pytest.mark.parametrize("kind", [CancelledAt, CancelledWhileSuspended])
def test_a_cancelled_send_to_a_full_channel_sends_nothing(kind: type[CancelledAt]) -> None:
    async def round_of_test(victim: Any) -> None:
        channel: Channel[int] = Channel(1)
        channel.send(0)
        sent: list[int] = []

        async def send() -> None:
            await as_async(channel).send(1)
            sent.append(1)

        task = victim(send())
        for _ in range(2):
            await asyncio.sleep(0)
        assert channel.receive() == 0
        for _ in range(4):
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)
        assert len(channel) == len(sent)

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_cancelled_send_of_a_rendezvous_leaves_its_place(loops: EventLoops) -> None:
    channel: Channel[int] = Channel()

    async def main() -> None:
        assert not await loops.ends_in_time(lambda: as_async(channel).send(1), 0.01)

    loops.run(main)
    with pytest.raises(queue.Empty):
        channel.receive_nowait()


def test_a_coroutine_that_is_collected_leaves_its_place() -> None:
    channel, full = Channel[int](), Channel[int](1)
    full.send(0)

    async def main() -> None:
        waits = [as_async(channel).send(1), as_async(full).send(1), as_async(Channel[int]()).receive()]
        for wait in waits:
            # It is suspended, and then nothing refers to it.
            asyncio.ensure_future(wait).cancel()
        for wait in [as_async(channel).send(2), as_async(full).send(2)]:
            wait.send(None)
        del wait, waits
        gc.collect()

    asyncio.run(main())
    with pytest.raises(queue.Empty):
        channel.receive_nowait()
    assert full.receive() == 0
    assert len(full) == 0


def test_a_subclass_with_methods_of_its_own_is_refused() -> None:
    class Mine(Channel[int]):
        def send(self, item: int, timeout: float | None = None) -> None:
            super().send(item, timeout)

    with pytest.raises(TypeError, match="has a send or receive of its own"):
        as_async(Mine(1))


def test_a_thread_waits_for_a_coroutine_whose_loop_is_busy(loops: EventLoops) -> None:
    """The thread behind a coroutine in the list of receivers is not kept waiting for its loop."""
    channel: Channel[int] = Channel(10)

    async def main() -> None:
        async def receive() -> int:
            return await as_async(channel).receive()

        async def be_busy() -> None:
            for _ in range(3):
                await loops.turn()
            other = Result(channel.receive)
            until_asleep(other.thread)
            channel.send(1)
            channel.send(2)
            # This loop does not run the coroutine before that.
            spin_until(lambda: not other.thread.is_alive())

        await loops.together(receive, be_busy)

    loops.run(main)


def test_they_say_what_they_are() -> None:
    broadcast, watch = Broadcast[int](1), Watch(1)
    for thing in (Channel[int](), broadcast, broadcast.subscribe(), watch, watch.subscribe()):
        name = type(thing).__name__
        assert repr(as_async(thing)).startswith(f"<Async{name} of <oxthreads.channels.{name}")
