"""Tests of the memory for the frames of Python functions, which threads pass on."""

from __future__ import annotations

import ctypes
import sys

import pytest

import oxthreads.threading
from tests.support.interpreters import FREE_THREADED

pytestmark = pytest.mark.skipif(FREE_THREADED, reason="without a GIL, the allocator stays as it is")

#: What the interpreter asks for when a thread calls its first Python function.
CHUNK = 16 * 1024

# The interpreter calls them while it is attached, and from 3.15 on the standard ones rely on that.
Allocate = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Allocator(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), ("allocate", Allocate), ("free", Free)]


def allocator() -> Allocator:
    found = Allocator()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(found))
    return found


def test_a_chunk_that_was_given_back_is_used_again() -> None:
    ours = allocator()
    first = ours.allocate(None, CHUNK)
    ctypes.memset(first, 0xA5, CHUNK)
    ours.free(None, first, CHUNK)
    # Another thread of the tests may take it first; it then takes another one.
    taken = [ours.allocate(None, CHUNK) for _ in range(40)]
    assert first in taken
    assert len(set(taken)) == len(taken)
    for chunk in taken:
        ctypes.memset(chunk, 0x5A, CHUNK)
        ours.free(None, chunk, CHUNK)


def test_other_sizes_are_given_back_to_the_system() -> None:
    ours = allocator()
    for size in (CHUNK // 2, CHUNK * 2, 256 * 1024, 1024 * 1024):
        memory = ours.allocate(None, size)
        assert memory
        ctypes.memset(memory, 1, size)
        ours.free(None, memory, size)


def test_a_process_keeps_no_more_than_32_chunks() -> None:
    ours = allocator()
    chunks = [ours.allocate(None, CHUNK) for _ in range(200)]
    for chunk in chunks:
        ours.free(None, chunk, CHUNK)
    again = [ours.allocate(None, CHUNK) for _ in range(200)]
    for chunk in again:
        ours.free(None, chunk, CHUNK)
    # Whatever the system gives for those that were not kept: no two are the same.
    assert len(set(again)) == 200


def deep(levels: int) -> int:
    return 0 if levels == 0 else 1 + deep(levels - 1)


def test_threads_with_deep_recursion_one_after_the_other() -> None:
    """Each needs several chunks, of several sizes."""
    depths: list[int] = []
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        for levels in (1, 50, 200, 1000, 3000, 10, 2000) * 5:
            thread = oxthreads.threading.Thread(target=lambda levels=levels: depths.append(deep(levels)))
            thread.start()
            thread.join()
    finally:
        sys.setrecursionlimit(limit)
    assert depths == [1, 50, 200, 1000, 3000, 10, 2000] * 5
