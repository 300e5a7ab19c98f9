"""The producers put fewer items than the consumer expects, and end."""

import queue
import threading

letters = queue.Queue()


def produce(letter):
    if letter != "b":
        letters.put(letter)


def consume(expected):
    return [letters.get() for _ in range(expected)]


producers = [threading.Thread(target=produce, args=(letter,), name=f"producer {letter}") for letter in "abc"]
consumer = threading.Thread(target=consume, args=(3,), name="consumer")
for thread in [*producers, consumer]:
    thread.start()
for thread in [*producers, consumer]:
    thread.join()
print("done")
