"""A chat server: for each client a thread that reads, a queue, and a thread that sends what is in it."""

from __future__ import annotations

import queue
import socket
import threading

SIZE = 9_600
CLIENTS = 8

Messages = queue.Queue[bytes | None]


class Room:
    """The clients that are there, each with a queue.

    Args:
        expected: how many clients are waited for before anything is said.
    """

    def __init__(self, expected: int) -> None:
        self.lock = threading.Lock()
        self.queues: list[Messages] = []
        self.complete = threading.Barrier(expected)

    def serve(self, connection: socket.socket) -> None:
        """Send what a client says to all of them, until it has said everything."""
        messages: Messages = queue.Queue()
        with self.lock:
            self.queues.append(messages)
        self.complete.wait()
        sender = threading.Thread(target=send, args=[connection, messages])
        sender.start()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                with self.lock:
                    for each in self.queues:
                        each.put(line)
            self.complete.wait()
            messages.put(None)
            sender.join()


def send(connection: socket.socket, messages: Messages) -> None:
    """Send messages, until there is a None."""
    while (message := messages.get()) is not None:
        connection.sendall(message)
    connection.shutdown(socket.SHUT_WR)


def chat(port: int, name: int, count: int, heard: list[int]) -> None:
    """Be a client: say something that often, and count the bytes of what all have said."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for number in range(count):
            connection.sendall(b"%d: hello %d\n" % (name, number))
        connection.shutdown(socket.SHUT_WR)
        size = 0
        while received := connection.recv(65_536):
            size += len(received)
        heard.append(size)


def main(size: int) -> str:
    """Let eight clients say that much together."""
    room = Room(CLIENTS)
    heard: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threads = [
            threading.Thread(target=chat, args=[port, name, size // CLIENTS, heard])
            for name in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for _ in range(CLIENTS):
            connection, _ = listener.accept()
            threads.append(threading.Thread(target=room.serve, args=[connection]))
            threads[-1].start()
        for thread in threads:
            thread.join()
    return f"{len(heard)} clients have heard {sorted(heard)} bytes"


if __name__ == "__main__":
    print(main(SIZE))
