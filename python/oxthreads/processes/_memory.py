"""Memory of long messages, which the sender writes and the receiver maps. It has no name.

To take new memory from the system costs more than to copy into memory that is there. So both ends keep the
memory of the last long message. The receiver tells the sender when nobody there has a part of it any more.
Then the sender writes the next long message into it. A short message in between gives the memory back.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import weakref
from collections.abc import Sequence
from typing import Any

#: So many bytes are copied without a turn for other threads: it takes less than a millisecond.
_AT_ONCE = 2 * 1024 * 1024

#: Memory with more bytes is not kept.
MOST_KEPT = 128 * 1024 * 1024


#: Before Python 3.13, each mapping has a descriptor, of which a process may have about a thousand. When there
#: are so many mappings, further messages are copied.
_MOST_MAPPED = 100
_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


class TooLarge(MemoryError):
    """There is no memory for a message that has come. The next ones can come."""


class _Forks:
    """Counts the forks of this process: what a forked process has as well must not be written again."""

    #: How often a fork has begun or ended. While this process forks, the number is odd.
    count = 0

    @classmethod
    def add(cls) -> None:
        """A fork begins or ends."""
        cls.count += 1


class Written:
    """The memory of the last long message that was sent."""

    __slots__ = ("_length", "_mapped", "descriptor", "is_free")

    def __init__(self) -> None:
        self._length = 0
        self._mapped: mmap.mmap | None = None
        #: What stands for it. -1: there is none.
        self.descriptor = -1
        #: Whether the other process has nothing of it any more.
        self.is_free = False

    def write(self, pieces: Sequence[Any], places: Sequence[int], length: int) -> bool:
        """Write the pieces at their places. Returns whether the other process knows this memory."""
        is_known = self.descriptor >= 0 and self.is_free
        if not is_known:
            self.close()
            self.descriptor = os.memfd_create("oxthreads", os.MFD_CLOEXEC)
        self.is_free = False
        is_there = is_known and length <= self._length
        # What is longer than before gets more memory, and what is shorter gives some back.
        os.ftruncate(self.descriptor, length)
        self._length = length
        memory = self._map() if is_there else None
        if memory is not None:
            for piece, place in zip(pieces, places, strict=True):
                _copy(memory, piece, place)
        else:
            # Where there is no memory, this is an error. With a mapping, it would be a signal.
            for piece, place in zip(pieces, places, strict=True):
                _write_all(self.descriptor, piece, place)
        return is_known

    def _map(self) -> mmap.mmap | None:
        """Map it, which makes it faster to write to it again. Returns None if there is no room for it."""
        if self._mapped is None or len(self._mapped) < self._length:
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            self._mapped = None
            try:
                self._mapped = _mapping(self.descriptor, self._length, flags)
            except OSError:
                return None
        return self._mapped

    def detach(self) -> int:
        """Return its descriptor, which belongs to the caller now."""
        descriptor, self.descriptor = self.descriptor, -1
        return descriptor

    def close(self) -> None:
        """Keep it no longer. May be called more than once."""
        self._mapped = None
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class Read:
    """The memory of the last long message that was received."""

    __slots__ = ("_forks", "_memory", "descriptor")

    def __init__(self) -> None:
        #: What stands for it. -1: there is none.
        self.descriptor = -1
        #: It knows whether somebody has a part of it.
        self._memory: mmap.mmap | None = None
        self._forks = 0

    def map(self, descriptor: int | None, length: int) -> memoryview:
        """Return the bytes of a message. They are there as long as they are used.

        Args:
            descriptor (int or None): of its memory. None: it is that of the message before.
            length (int): how many they are.

        Raises:
            TooLarge: there is no memory for them here.
        """
        if descriptor is not None:
            self.close()
            self.descriptor = descriptor
            os.set_inheritable(descriptor, False)
        self._forks = _Forks.count
        if sys.version_info < (3, 13) and len(_mapped) >= _MOST_MAPPED:
            return self._copied(length)
        try:
            memory = _mapping(self.descriptor, length, mmap.MAP_SHARED)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            raise TooLarge(
                f"there is no memory for a message of {length} bytes from another process"
            ) from None
        _mapped.add(memory)
        if length > MOST_KEPT:
            self.close()
        else:
            self._memory = memory
        return memoryview(memory)

    def _copied(self, length: int) -> memoryview:
        """Return the bytes of a message in memory of this process alone."""
        rest = copied = memoryview(bytearray(length))
        while rest:
            read = os.preadv(self.descriptor, [rest], length - len(rest))
            rest = rest[read:]
        self._memory = None
        return copied

    def lets_go(self) -> bool:
        """Whether nobody in this process has a part of it. If somebody has one, it is theirs from now on."""
        memory, self._memory = self._memory, None
        if memory is None or self._forks != _Forks.count or self._forks % 2:
            return False
        # A weak reference does not tell: that is gone before a destructor brings back what it belonged to.
        try:
            memory.close()
        except BufferError:
            return False
        return True

    def close(self) -> None:
        """Keep it no longer. Who has a part of it has that still. May be called more than once."""
        self._memory = None
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _mapping(descriptor: int, length: int, flags: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, length, flags, trackfd=False)
    return mmap.mmap(descriptor, length, flags)


def _copy(memory: mmap.mmap, piece: Any, place: int) -> None:
    """Copy the piece into the memory, from this place on. Other threads have a turn now and then."""
    rest = memoryview(piece).cast("B")
    for begin in range(0, len(rest), _AT_ONCE):
        some = rest[begin : begin + _AT_ONCE]
        memory[place + begin : place + begin + len(some)] = some


def _write_all(descriptor: int, piece: Any, place: int) -> None:
    """Write the piece into the memory, from this place on."""
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(descriptor, rest, place)
        rest, place = rest[written:], place + written


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_Forks.add, after_in_parent=_Forks.add, after_in_child=_Forks.add)
