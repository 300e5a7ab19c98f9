"""What a process and its parent send each other: one message there, one message back.

A message has one or more parts: a pickle, and then the large buffers that belong to it. A short message goes
through a socket. A long one goes into memory that has no name, which both processes map: only its descriptor
is sent. So a long message is copied once, and its memory is given back when the last process that has it has
ended, however that ends. Where there is no such memory, it goes through the socket.

On Windows, messages go through a :class:`multiprocessing.connection.Connection`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .._oxthreads import check_cancelled, is_in_scope
from ..waiting import select
from ._memory import MOST_KEPT, Read, Written

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

#: What can be a part of a message, and what a received one is.
Part: TypeAlias = "bytes | bytearray | memoryview"

#: A message with more bytes than this goes through shared memory. Measured: docs/parallelism.md. It is less
#: than the buffer of a socket: so nobody waits when it is sent, also if the receiver is stopped.
LONGEST_IN_SOCKET = 192 * 1024 - 16

#: The bytes that follow, and the kind of the message.
_HEADER = struct.Struct("=QB")
#: Added to the kind: the message has more than one part; its parts are in shared memory; in that of the last
#: such message again; nobody uses that of the last one in the other direction any more.
_HAS_PARTS = 0x80
_IS_SHARED = 0x40
_IS_KNOWN = 0x20
_IS_FREE = 0x10
_KIND = 0x0F

#: Parts begin at multiples of this, as arrays expect.
_ALIGNMENT = 64

#: A socket to a process that has ended raises an error. A signal, without this, may end the program.
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

#: How long a wait on Windows takes at most before it looks for cancelled scopes, in seconds.
_LONGEST_SLEEP = 0.05


class Lost(Exception):
    """The other process has ended."""


class NotReceived(Lost):
    """It has ended, and has not received the last message."""


def _places(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return where parts of these lengths begin, and where the last one ends."""
    places, end = [], 0
    for length in lengths:
        begin = -(-end // _ALIGNMENT) * _ALIGNMENT
        places.append(begin)
        end = begin + length
    return places, end


def _table(parts: Sequence[Part | memoryview]) -> tuple[bytes, list[int], int]:
    """Return what says how long the parts are, where they begin behind that, and where the last one ends."""
    lengths = [len(part) for part in parts]
    table = struct.pack(f"={1 + len(lengths)}Q", len(lengths), *lengths)
    places, end = _places([len(table), *lengths])
    return table, places[1:], end


def _split(body: memoryview) -> list[memoryview]:
    """Return the parts of a message of several parts."""
    (count,) = struct.unpack_from("=Q", body)
    lengths = struct.unpack_from(f"={count}Q", body, 8)
    places, _ = _places([8 * (1 + count), *lengths])
    return [body[place : place + length] for place, length in zip(places[1:], lengths, strict=True)]


def share(parts: Sequence[Part]) -> tuple[int, int]:
    """Put the parts into shared memory. Returns its descriptor and how many bytes it has."""
    table, places, end = _table(parts)
    written = Written()
    written.write([table, *parts], [0, *places], end)
    return written.detach(), end


def map_shared(descriptor: int, length: int) -> list[memoryview]:
    """Return the parts that are in shared memory."""
    read = Read()
    body = read.map(descriptor, length)
    read.close()
    return _split(body)


class SocketLink:
    """One end of a link over sockets.

    Args:
        messages (socket): for messages.
        descriptors (socket): for the descriptors of shared memory.
        life (socket): for nothing. A child sees there whether its parent exists: the end of the parent stays
            open until the child has ended, and no other process has it.
    """

    #: What a child is given.
    Ends: TypeAlias = tuple[socket.socket, socket.socket, socket.socket]

    def __init__(self, messages: socket.socket, descriptors: socket.socket, life: socket.socket) -> None:
        self._messages = messages
        self._descriptors = descriptors
        self.life = life
        if messages.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < LONGEST_IN_SOCKET + _HEADER.size:
            messages.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LONGEST_IN_SOCKET)
        for each in (messages, descriptors, life):
            # A child got them as ones that the programs which it starts inherit. Then they would outlive it.
            each.set_inheritable(False)
            each.settimeout(None)  # a program may have set another default
        self._received = bytearray(LONGEST_IN_SOCKET + _HEADER.size)
        self._view = memoryview(self._received)
        # Looked up here, since each call uses them.
        self._send = messages.send
        self._receive_into = messages.recv_into
        self._shares = hasattr(os, "memfd_create")
        self._written = Written()
        self._read = Read()

    @staticmethod
    def pair() -> tuple[SocketLink, Ends]:
        """Make a link. Returns the end of this process, and what a child makes the other end of."""
        with contextlib.ExitStack() as undo:
            ours: list[socket.socket] = []
            theirs: list[socket.socket] = []
            for _ in range(3):
                for end, ends in zip(socket.socketpair(), (ours, theirs), strict=True):
                    ends.append(undo.enter_context(end))
            link = SocketLink(*ours)
            undo.pop_all()
        return link, (theirs[0], theirs[1], theirs[2])

    def send(self, kind: int, parts: Sequence[Part]) -> None:
        """Send a message.

        Raises:
            Lost: the other process has ended, and does not receive this.
            OSError: there is no memory.
        """
        first = parts[0]
        read, written = self._read, self._written
        if read.descriptor >= 0 and read.lets_go():
            kind |= _IS_FREE
        try:
            if len(parts) == 1 and len(first) <= LONGEST_IN_SOCKET:
                if written.descriptor >= 0:
                    written.close()
                self._send_all(_HEADER.pack(len(first), kind) + first)
            elif self._shares:
                self._share(kind | _IS_SHARED, parts)
            else:
                self._send_parts(kind, parts)
        except ConnectionError as error:
            raise Lost from error

    def _share(self, kind: int, parts: Sequence[Part]) -> None:
        """Put the parts into shared memory, and tell of it."""
        table, places, length = _table(parts)
        written = self._written
        if written.write([table, *parts], [0, *places], length):
            self._send_all(_HEADER.pack(length, kind | _IS_KNOWN))
        else:
            self._send_all(_HEADER.pack(length, kind))
            socket.send_fds(self._descriptors, [b"d"], [written.descriptor], _NO_SIGNAL)
        if length > MOST_KEPT:
            written.close()

    def _send_all(self, message: bytes) -> None:
        sent = self._send(message, _NO_SIGNAL)
        if sent < len(message):
            self._messages.sendall(memoryview(message)[sent:], _NO_SIGNAL)

    def _send_parts(self, kind: int, parts: Sequence[Part]) -> None:
        table, places, end = _table(parts)
        self._send_all(_HEADER.pack(end, kind | _HAS_PARTS))
        written = 0
        for part, place in zip([table, *parts], [0, *places], strict=True):
            self._messages.sendall(bytes(place - written), _NO_SIGNAL)
            self._messages.sendall(part, _NO_SIGNAL)
            written = place + len(part)

    def receive(self, deadline: float | None = None) -> tuple[int, list[memoryview]]:
        """Wait for a message, and return its kind and its parts. A part is valid until the next call, or, if
        there are several, as long as it is used.

        Args:
            deadline (float or None): when to give up, on the clock `time.monotonic`.

        Raises:
            Lost: the other process has ended.
            TooLarge: there is no memory for the message.
            TimeoutError: the deadline has passed.
            Cancelled: a scope of this thread was cancelled.
        """
        waits = deadline is not None or is_in_scope()
        if waits:
            self._wait(self._messages, deadline)
        try:
            length = self._receive_into(self._received)
            while length < _HEADER.size:
                if not length:
                    raise Lost
                more = self._receive_into(self._view[length:])
                if not more:
                    raise Lost
                length += more
            size, kind = _HEADER.unpack_from(self._received)
            if kind & _IS_FREE:
                self._written.is_free = True
            if kind & _IS_SHARED:
                descriptor = None
                if not kind & _IS_KNOWN:
                    if waits:
                        self._wait(self._descriptors, deadline)
                    descriptor = self._receive_descriptor()
                return kind & _KIND, _split(self._read.map(descriptor, size))
            if self._read.descriptor >= 0:
                self._read.close()
            if length == size + _HEADER.size and not kind & _HAS_PARTS:
                return kind & _KIND, [self._view[_HEADER.size : length]]
            return kind & _KIND, self._receive_rest(size, kind, length, waits, deadline)
        except ConnectionResetError as error:
            # On Linux, this means that there was something that the other process had not read.
            raise (NotReceived if sys.platform == "linux" else Lost) from error
        except ConnectionError as error:
            raise Lost from error

    def _receive_descriptor(self) -> int:
        """Receive a descriptor of shared memory."""
        message, descriptors, flags, _ = socket.recv_fds(self._descriptors, 1, 1)
        if descriptors:
            return descriptors[0]
        if message and flags & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        raise Lost

    def _receive_rest(
        self, size: int, kind: int, length: int, waits: bool, deadline: float | None
    ) -> list[memoryview]:
        """Receive the rest of a message of this size, of which there are so many bytes."""
        body = memoryview(bytearray(size))
        begin = length - _HEADER.size
        body[:begin] = self._view[_HEADER.size : length]
        while begin < size:
            if waits:
                self._wait(self._messages, deadline)
            more = self._receive_into(body[begin:])
            if not more:
                raise Lost
            begin += more
        return _split(body) if kind & _HAS_PARTS else [body]

    @staticmethod
    def _wait(descriptor: socket.socket, deadline: float | None) -> None:
        """Wait until there is something to read."""
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        select(descriptor, timeout=timeout)

    def close(self) -> None:
        """Let the other process know that nothing more comes. May be called more than once."""
        self._messages.close()
        self._descriptors.close()
        self._written.close()
        self._read.close()

    def let_go(self) -> None:
        """This process has nothing to do with the other one any more."""
        self.close()
        self.life.close()


class ConnectionLink:
    """One end of a link over a connection of :mod:`multiprocessing`."""

    Ends: TypeAlias = "tuple[Connection[Any, Any]]"

    #: There is no socket that hangs up when the parent ends.
    life: None = None

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @staticmethod
    def pair() -> tuple[ConnectionLink, tuple[Any]]:
        """Make a link. Returns the end of this process, and what a child makes the other end of."""
        from multiprocessing import Pipe  # noqa: PLC0415

        ours, theirs = Pipe()
        return ConnectionLink(ours), (theirs,)

    def send(self, kind: int, parts: Sequence[Part]) -> None:
        """Send a message, as `SocketLink.send`."""
        table, places, end = _table(parts)
        body = bytearray(1 + end)
        body[0] = kind
        for part, place in zip([table, *parts], [0, *places], strict=True):
            body[1 + place : 1 + place + len(part)] = part
        try:
            self._connection.send_bytes(body)
        except ConnectionError as error:
            raise Lost from error

    def receive(self, deadline: float | None = None) -> tuple[int, list[memoryview]]:
        """Wait for a message, as `SocketLink.receive`."""
        end = deadline
        while end is not None or is_in_scope():
            check_cancelled()
            left = _LONGEST_SLEEP if end is None else min(_LONGEST_SLEEP, end - time.monotonic())
            if self._poll(max(left, 0)):
                break
            if left <= 0:
                raise TimeoutError
        try:
            body = memoryview(bytearray(self._connection.recv_bytes()))
        except (EOFError, ConnectionError) as error:
            raise Lost from error
        return body[0], _split(body[1:])

    def _poll(self, seconds: float) -> bool:
        try:
            return bool(self._connection.poll(seconds))
        except (EOFError, ConnectionError):
            return True

    def close(self) -> None:
        """Let the other process know that nothing more comes. May be called more than once."""
        with contextlib.suppress(OSError):
            self._connection.close()

    let_go = close


Link: TypeAlias = "SocketLink | ConnectionLink"


def make_pair() -> tuple[Link, tuple[Any, ...]]:
    """Make a link. Returns the end of this process, and what `other_end` takes in a child."""
    return SocketLink.pair() if hasattr(socket, "send_fds") else ConnectionLink.pair()


def other_end(ends: tuple[Any, ...]) -> Link:
    """Make the end of a child."""
    return SocketLink(*ends) if len(ends) == 3 else ConnectionLink(*ends)
