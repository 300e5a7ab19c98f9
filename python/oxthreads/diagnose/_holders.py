"""Which ``with`` statements a frame is inside, and which of them holds a given lock.

A report of a hang wants to say where a lock was taken, although nobody wrote that down. If the owner took
it by ``with``, its frame is still inside that statement, and the statement can be found.

This reads bytecode, and not source. The exception table of a code object says, for each instruction, where
the interpreter goes on if that instruction raises. Inside a ``with`` this is the place that calls
``__exit__``. So the question "which ``with`` statements are open here?" has the same answer as "whose
``__exit__`` would be called if the call in progress raised?", and the interpreter itself relies on that
answer. Columns of the source are not needed: several statements in one line are no harder than many lines.
It works without source too: for ``-c``, ``exec``, zip files, and files that changed after they were
imported. Source is used only for the text that is shown.

What the item of the statement was (``self.lock``) is read from the instructions before the body, and looked
up again now. Only look-ups that run no code of the user are made; for anything else the answer is "not
found". That is also the answer whenever the bytecode is not exactly as expected.

What is certain: the frame is inside the body of that statement, and the item's expression, looked up now,
gives the lock. If the body itself assigns to a variable or an attribute of that name, or to a subscript,
the item is not trusted. What this cannot see is *other* code that put the lock there after the statement
was entered (another method that assigned to ``self.lock``, say). The answer is then wrong only if the same
thread holds the new lock too, and took it in some other way.

Generators and coroutines are left out, because another thread can leave their ``with``.

The frame of another thread must stand still meanwhile, with a GIL too: nothing here is atomic. So the caller
has to make sure that this thread is in the same wait before and after.
"""

from __future__ import annotations

import linecache
import opcode
import sys

# linecache imports it when it reads its first file. A report must not be the first to import something,
# because imports may be what hangs.
import tokenize  # noqa: F401
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zipimport import zipimporter

from oxthreads.diagnose._look_ups import NOTHING, PLAIN_LOOK_UPS, in_classes, is_one_of, mro_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Hold",
    "WithItem",
    "acquired_in",
    "held_in",
    "held_values",
    "line_of_file",
    "open_with_statements",
    "register_source",
    "source_line",
]


class WithItem(NamedTuple):
    """One item of a ``with`` statement. ``with a, b:`` has two."""

    filename: str
    #: The line where the expression of the item begins.
    line: int
    #: The qualified name of the function.
    function: str
    #: That line of the source, without the spaces around it. Empty without source, or if it has changed.
    text: str
    #: The expression, such as ``self.lock``. Empty if it is not a plain look-up and there is no source.
    expression: str


class Hold(NamedTuple):
    """What ``lock.read()`` or ``lock.write()`` in a ``with`` statement was called for."""

    lock: Any
    #: The name of the method. Whether it is that of an `RWLock` is not known here.
    method: str


def open_with_statements(frame: FrameType) -> Iterator[WithItem]:
    """The items whose body the frame is executing, outermost first.

    A frame that is still entering an item, or already leaving it, is not inside it. Generators and
    coroutines have no items.
    """
    for item in _open_items(frame):
        yield _described(frame, item)


def _same(value: object) -> object:
    return value


def is_entering(frame: FrameType) -> bool:
    """Whether the frame is in the call of an ``__enter__`` for a ``with`` statement.

    False for generators and coroutines, and whenever the bytecode is not exactly as expected.
    """
    code = frame.f_code
    if code.co_flags & _NOT_ORDINARY:
        return False
    return _bytecode(code).is_entering(frame.f_lasti)


def acquired_in(frame: FrameType) -> object:
    """The object of whose ``__enter__`` or ``acquire()`` the frame is in a call, or `NOTHING`.

    It is looked up again now, by look-ups that run no code of the user. A call of ``acquire`` with arguments
    is left out: it may have a timeout.
    """
    look_up = _bytecode(frame.f_code).acquired(frame.f_lasti)
    return NOTHING if look_up is None else _evaluate(look_up, frame)


def held_in(frame: FrameType, lock: object, lock_of: Callable[[object], object] = _same) -> WithItem | None:
    """The innermost open item that holds `lock`, or None.

    `lock_of` maps what the expression gives to the lock that its ``__exit__`` releases: a Condition to its
    lock, for example. It has to return None for an object without a lock, and for one whose class has an
    ``__exit__`` of its own, because nobody knows what that does. It must not run code of the user.
    """
    for item in reversed(_open_items(frame)):
        if item.look_up is None or not item.is_stable:
            continue
        value = _evaluate(item.look_up, frame)
        if value is not NOTHING and lock_of(value) is lock:
            return _described(frame, item)
    return None


def held_values(frame: FrameType) -> Iterator[tuple[object, Callable[[], WithItem]]]:
    """What the open items of the frame have entered, as far as that is certain, and how to describe the item.

    See :func:`held_in`, of which this is the general form; outermost first.
    """
    for item in _open_items(frame):
        if item.look_up is not None and item.is_stable:
            value = _evaluate(item.look_up, frame)
            if value is not NOTHING:
                yield value, partial(_described, frame, item)


# ---- Instructions


# The name, the argument, where it begins with its EXTENDED_ARGs (jumps go there), and where the next one
# begins, after the caches of this one. A plain tuple, because a function may have tens of thousands.
_Instruction = tuple[str, int, int, int]


class _Range(NamedTuple):
    """An entry of the exception table: an exception in this range goes to that handler."""

    start: int
    end: int
    handler: int


_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
_JUMPS = frozenset(opcode.opname[number] for number in opcode.hasjrel if number < len(opcode.opname))

# Instructions that do the work of two. The argument of the first is in the upper four bits.
_PAIRS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}


def _instructions(code: bytes) -> list[_Instruction]:
    # `dis` makes far more of each instruction, and is slow. `co_code` is the code as the compiler made it,
    # also when the interpreter has specialized it or a tracer has changed it. Its caches are zeros, and zero
    # is the number of CACHE in every version.
    found: list[_Instruction] = []
    names = opcode.opname
    start, argument, offset, size = 0, 0, 0, len(code)
    while offset < size:
        operation = code[offset]
        argument = argument << 8 | code[offset + 1]
        offset += 2
        if operation == _EXTENDED_ARG:
            continue
        while offset < size and not code[offset]:
            offset += 2
        name = names[operation]
        if name in _PAIRS:
            first, second = _PAIRS[name]
            found.append((first, argument >> 4, start, offset))
            found.append((second, argument & 15, start, offset))
        else:
            found.append((name, argument, start, offset))
        start, argument = offset, 0
    return found


def _ranges(table: bytes) -> list[_Range]:
    # The format is in exception_handling.md of CPython: four numbers an entry, in the order of the code. Each
    # number is in groups of six bits. The highest bit marks a new entry, the next one says that more follow.
    numbers = []
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            numbers.append(number)
            number = 0
    return [
        _Range(2 * start, 2 * (start + length), 2 * handler)
        for start, length, handler in zip(numbers[::4], numbers[1::4], numbers[2::4], strict=True)
    ]


# The instructions that enter a `with`. The next one after them is the first of the body.
_ENTER: list[tuple[str, int | None]] = (
    [
        ("COPY", 1),
        ("LOAD_SPECIAL", 1),  # __exit__
        ("SWAP", 2),
        ("SWAP", 3),
        ("LOAD_SPECIAL", 0),  # __enter__
        ("CALL", 0),
    ]
    if sys.version_info >= (3, 14)
    else [("BEFORE_WITH", None)]
)

# The argument of BINARY_OP that makes it a subscript. An instruction of its own before 3.14.
_SUBSCRIPT = 26 if sys.version_info >= (3, 14) else None


# Some constants that have an instruction of their own, such as -1, since 3.14. This is what `dis` uses.
_COMMON_CONSTANTS: list[object] = getattr(opcode, "_common_constants", [])


# ---- The expression of an item


class _LookUp(NamedTuple):
    """An expression that is a plain look-up."""

    #: "local", "global", "name" (in a module or a class), "constant", "attribute", "subscript", or "hold": a
    #: call of `read` or `write` without arguments
    kind: str
    #: The name; for a constant, its value.
    name: Any = None
    #: What has the attribute, or the container.
    base: _LookUp | None = None
    key: _LookUp | None = None

    def parts(self) -> Iterator[_LookUp]:
        yield self
        for part in (self.base, self.key):
            if part is not None:
                yield from part.parts()


#: The methods of an `RWLock` whose results are entered.
_HOLDS = ("read", "write")


class _Reader:
    """Reads an expression from its end, because its last instruction says what it is."""

    #: How many attributes and subscripts an expression may have.
    LIMIT = 20

    def __init__(self, code: CodeType, instructions: list[_Instruction], end: int) -> None:
        self.code = code
        self.instructions = instructions
        #: The first of the instructions that were read.
        self.position = end

    def read(self, depth: int = 0) -> _LookUp | None:
        if self.position == 0 or depth > self.LIMIT:
            return None
        self.position -= 1
        name, argument, *_ = self.instructions[self.position]
        if name == "NOP":
            return self.read(depth + 1)
        if name == "CALL" and argument == 0 and depth == 0:
            return self._hold()
        if name == "LOAD_ATTR":
            return self._attribute(argument, depth)
        if name == "BINARY_SUBSCR" or (name == "BINARY_OP" and argument == _SUBSCRIPT):
            index = self.read(depth + 1)
            base = index and self.read(depth + 1)
            return _LookUp("subscript", None, base, index) if base else None
        return self._leaf(name, argument)

    def skip_method(self, method: str) -> bool:
        """Go back before the instruction that loads this method for a call; return whether it is there."""
        if self.position == 0:
            return False
        name, argument, *_ = self.instructions[self.position - 1]
        if name == "LOAD_METHOD":
            index = argument
        elif name == "LOAD_ATTR" and argument & 1 and sys.version_info >= (3, 12):
            index = argument >> 1
        else:
            return False
        self.position -= 1
        return self.code.co_names[index] == method

    def _hold(self) -> _LookUp | None:
        # Before Python 3.12 there is one more instruction in front of a call.
        if self.position and self.instructions[self.position - 1][0] == "PRECALL":
            self.position -= 1
        before = self.position
        for method in _HOLDS:
            self.position = before
            if self.skip_method(method):
                base = self.read(1)
                return _LookUp("hold", method, base) if base else None
        return None

    def _attribute(self, argument: int, depth: int) -> _LookUp | None:
        # Since 3.12 the lowest bit says that this is a method that is about to be called.
        if sys.version_info >= (3, 12):
            if argument & 1:
                return None
            argument >>= 1
        base = self.read(depth + 1)
        return _LookUp("attribute", self.code.co_names[argument], base) if base else None

    def _leaf(self, name: str, argument: int) -> _LookUp | None:
        code = self.code
        value: object
        match name:
            case "LOAD_FAST" | "LOAD_FAST_CHECK" | "LOAD_FAST_BORROW" | "LOAD_DEREF":
                kind, value = "local", _variable(code, argument)
            case "LOAD_GLOBAL" if not argument & 1:
                kind, value = "global", code.co_names[argument >> 1]
            case "LOAD_NAME":
                kind, value = "name", code.co_names[argument]
            case "LOAD_CONST":
                kind, value = "constant", code.co_consts[argument]
            case "LOAD_SMALL_INT":
                kind, value = "constant", argument
            case "LOAD_COMMON_CONSTANT" if argument < len(_COMMON_CONSTANTS):
                kind, value = "constant", _COMMON_CONSTANTS[argument]
            case _:
                return None
        return _LookUp(kind, value)


def _variable(code: CodeType, argument: int) -> str:
    # What `dis` uses. Public attributes do not tell the order of the variables that inner functions share.
    name: str = code._varname_from_oparg(argument)  # type: ignore[attr-defined]
    return name


# What instructions assign to or delete.
_STORES = {
    **dict.fromkeys(("STORE_FAST", "DELETE_FAST", "LOAD_FAST_AND_CLEAR"), "variable"),
    **dict.fromkeys(("STORE_DEREF", "DELETE_DEREF"), "variable"),
    **dict.fromkeys(("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"), "variable"),
    **dict.fromkeys(("STORE_ATTR", "DELETE_ATTR"), "attribute"),
    **dict.fromkeys(("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"), "subscript"),
    # `from ... import *`, before 3.12 and since
    **dict.fromkeys(("IMPORT_STAR", "CALL_INTRINSIC_1"), "anything"),
}
_IMPORT_STAR = 2  # the argument of CALL_INTRINSIC_1


def _stores(code: CodeType, instructions: list[_Instruction]) -> list[tuple[int, tuple[str, str]]]:
    """The offset, the kind and the name of each assignment and deletion."""
    found = []
    for name, argument, start, _ in instructions:
        if name in _STORES and (name != "CALL_INTRINSIC_1" or argument == _IMPORT_STAR):
            found.append((start, (_STORES[name], _target(code, name, argument))))
    return found


def _target(code: CodeType, name: str, argument: int) -> str:
    if name.endswith(("_ATTR", "_NAME", "_GLOBAL")):
        return code.co_names[argument]
    return _variable(code, argument) if _STORES[name] == "variable" else ""


def _jump_targets(instructions: list[_Instruction]) -> set[int]:
    return {
        end + 2 * (-argument if "BACKWARD" in name else argument)
        for name, argument, _, end in instructions
        if name in _JUMPS
    }


def _is_assigned_within(code: CodeType, cells: set[str], global_names: set[str]) -> bool:
    """Do functions within this one assign to its variables `cells`, by `nonlocal`, or to these globals?"""
    for nested in code.co_consts:
        if not isinstance(nested, CodeType):
            continue
        # Without those of the same name that are variables of the inner function.
        inner_cells = cells.intersection(nested.co_freevars)
        stored = {"DEREF": inner_cells, "GLOBAL": global_names.intersection(nested.co_names)}
        if any(stored.values()):
            for name, argument, _, _ in _instructions(nested.co_code):
                names = stored.get(name.rpartition("_")[2]) if name in _STORES else None
                if names and _target(nested, name, argument) in names:
                    return True
        if _is_assigned_within(nested, inner_cells, global_names):
            return True
    return False


# ---- The items of a code object


class _Item(NamedTuple):
    look_up: _LookUp | None
    #: Does the body leave alone what the look-up reads?
    is_stable: bool
    #: The offset of the first instruction of the expression, as far as it is known. It has the line.
    first: int
    #: The offset of an instruction that has the columns of the whole expression. For other than look-ups.
    whole: int | None


class _Bytecode:
    """What is known of a code object. Worked out when it is needed first."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self._ranges = _ranges(code.co_exceptiontable)
        self._range_starts = [entry.start for entry in self._ranges]
        self._instructions: list[_Instruction] = []
        self._positions: dict[int, int] = {}
        self._jump_targets: set[int] = set()
        self._stores: list[tuple[int, tuple[str, str]]] = []
        self._items: dict[int, _Item | None] = {}

    def open_items(self, offset: int) -> list[_Item]:
        """The items whose body the instruction at `offset` belongs to, outermost first."""
        found = []
        for handler in reversed(self._handlers(offset)):
            if handler not in self._items:
                self._items[handler] = self._item(handler)
            item = self._items[handler]
            if item is not None:
                found.append(item)
        return found

    def is_entering(self, offset: int) -> bool:
        """Whether the instruction at `offset` is the one that calls ``__enter__``."""
        self._read()
        position = self._positions.get(offset, -1) + 1
        return position > 0 and self._is_entered_before(position)

    def acquired(self, offset: int) -> _LookUp | None:
        """The object whose ``__enter__`` or ``acquire()``, without arguments, is called at `offset`."""
        if self.is_entering(offset):
            return self._reader(self._positions[offset] + 1 - len(_ENTER)).read()
        position = self._positions.get(offset, -1)
        if position < 0 or self._instructions[position][:2] != ("CALL", 0):
            return None
        # Before Python 3.12 there is one more instruction in front of a call.
        if self._instructions[position - 1][0] == "PRECALL":
            position -= 1
        reader = self._reader(position)
        return reader.read() if reader.skip_method("acquire") else None

    def _reader(self, end: int) -> _Reader:
        return _Reader(self.code, self._instructions, end)

    def _handlers(self, offset: int) -> list[int]:
        """Where an exception at `offset` goes, and from there if it is raised again, innermost first."""
        found: list[int] = []
        while True:
            number = bisect_right(self._range_starts, offset) - 1
            if number < 0 or offset >= self._ranges[number].end:
                return found
            offset = self._ranges[number].handler
            if offset in found:
                return []
            found.append(offset)

    def _item(self, handler: int) -> _Item | None:
        """The item whose ``__exit__`` this handler calls. None for a handler of another kind."""
        self._read()
        first = self._positions.get(handler, len(self._instructions))
        if self._names(first, first + 2) != ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]:
            return None
        # The body may be in several pieces. Only the first follows what enters the statement.
        starts = [self._positions.get(entry.start, 0) for entry in self._ranges if entry.handler == handler]
        bodies = [position for position in starts if self._is_entered_before(position)]
        if len(bodies) != 1:
            return None
        return self._read_item(handler, bodies[0] - len(_ENTER), bodies[0])

    def _read(self) -> None:
        """Read the instructions, if that has not been done."""
        if not self._instructions:
            instructions = _instructions(self.code.co_code)
            positions: dict[int, int] = {}
            # The second of a pair begins at the same offset, and is not where a jump arrives.
            for position, (_, _, start, _) in enumerate(instructions):
                positions.setdefault(start, position)
            self._positions = positions
            self._jump_targets = _jump_targets(instructions)
            self._stores = _stores(self.code, instructions)
            # Last, because another thread may ask at the same time.
            self._instructions = instructions

    def _names(self, start: int, end: int) -> list[str]:
        return [name for name, *_ in self._instructions[start:end]]

    def _is_entered_before(self, position: int) -> bool:
        start = position - len(_ENTER)
        return start > 0 and all(
            name == expected and wanted in (None, argument)
            for (name, argument, *_), (expected, wanted) in zip(
                self._instructions[start:position], _ENTER, strict=True
            )
        )

    def _read_item(self, handler: int, enter: int, body: int) -> _Item:
        reader = self._reader(enter)
        look_up = reader.read()
        _, _, first, _ = self._instructions[reader.position]
        # `with (a if x else b):`. What stands before the statement is entered is one branch of several.
        if look_up and not self._is_jumped_into(first, self._instructions[body][2]):
            return _Item(look_up, self._is_stable(look_up, handler), first, None)
        name, _, last, _ = self._instructions[enter - 1]
        if sys.version_info >= (3, 13):
            _, _, whole, _ = self._instructions[enter]
            return _Item(None, False, whole, whole)
        # What enters the statement has the columns of the whole statement here.
        return _Item(None, False, last, last if name == "CALL" else None)

    def _is_jumped_into(self, first: int, body: int) -> bool:
        """Is there a jump to what comes after the first instruction, up to the body?"""
        return any(first < target <= body for target in self._jump_targets)

    def _is_stable(self, look_up: _LookUp, handler: int) -> bool:
        read: set[tuple[str, str]] = {("anything", "")}
        for part in look_up.parts():
            if part.kind == "subscript":
                read.add(("subscript", ""))
            elif part.kind == "attribute":
                read.add(("attribute", part.name))
            elif part.kind not in ("constant", "hold"):
                read.add(("variable", part.name))
        for offset, stored in self._stores:
            if stored in read and handler in self._handlers(offset):
                return False
        variables = {part for part in look_up.parts() if part.kind in ("local", "global", "name")}
        cells = {part.name for part in variables if part.kind == "local"}
        cells.intersection_update(self.code.co_cellvars + self.code.co_freevars)
        global_names = {part.name for part in variables if part.kind != "local"}
        return not _is_assigned_within(self.code, cells, global_names)


# By the address of the code object, and not by its value: to compare two code objects takes long. The
# entries keep them alive, so an address is not used again.
_known: dict[int, _Bytecode] = {}
_KNOWN_LIMIT = 128

# CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of `inspect`
_NOT_ORDINARY = 0x20 | 0x80 | 0x200
_CO_OPTIMIZED = 0x1


def _open_items(frame: FrameType) -> list[_Item]:
    code = frame.f_code
    if code.co_flags & _NOT_ORDINARY or not code.co_exceptiontable:
        return []
    return _bytecode(code).open_items(frame.f_lasti)


def _bytecode(code: CodeType) -> _Bytecode:
    known = _known.get(id(code))
    if known is None:
        known = _Bytecode(code)
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        _known[id(code)] = known
    return known


# ---- Look-ups that run no code of the user


# Types whose look-up of an item that is there is that of `dict`.
_DICTS = (dict, defaultdict, OrderedDict)
# Keys of these types are compared without code of the user.
_PLAIN_KEYS = (str, int, bool, bytes)


def _evaluate(look_up: _LookUp, frame: FrameType) -> Any:
    if look_up.kind == "constant":
        return look_up.name
    if look_up.base is None:
        return _variable_value(look_up, frame)
    base = _evaluate(look_up.base, frame)
    if look_up.kind == "hold":
        return base if base is NOTHING else Hold(base, look_up.name)
    if base is NOTHING or look_up.key is None:
        return base if base is NOTHING else _attribute(base, look_up.name)
    key = _evaluate(look_up.key, frame)
    return NOTHING if key is NOTHING else _subscript(base, key)


def _variable_value(look_up: _LookUp, frame: FrameType) -> Any:
    if look_up.kind == "local":
        # In a class body or a module, `f_locals` has other variables than these. Before 3.13, in a function,
        # it is the dict that `locals()` gave there last, if it did, and this brings that up to date.
        is_function = frame.f_code.co_flags & _CO_OPTIMIZED
        return frame.f_locals.get(look_up.name, NOTHING) if is_function else NOTHING
    namespaces: list[object] = [frame.f_globals, frame.f_builtins]
    if look_up.kind == "name":
        namespaces.insert(0, frame.f_locals)
    for namespace in namespaces:
        # A metaclass, or whoever calls `exec`, may provide one that runs code.
        if type(namespace) is not dict:
            break
        value = namespace.get(look_up.name, NOTHING)
        if value is not NOTHING:
            return value
    return NOTHING


def _attribute(owner: object, name: str) -> Any:
    classes = mro_of(type(owner))
    # Compared by identity: `==` might be the user's.
    look_up = in_classes(classes, "__getattribute__")
    if not any(look_up is plain for plain in PLAIN_LOOK_UPS):
        return NOTHING
    in_class = in_classes(classes, name)
    is_slot = type(in_class) is MemberDescriptorType
    if _is_descriptor(in_class) and not is_slot:
        return NOTHING
    if issubclass(type(owner), type) and not is_slot:
        # A class looks through its bases, and then through its metaclass, where we do not look.
        value = in_classes(mro_of(owner), name)
        return NOTHING if _is_descriptor(value) else value
    # It calls no descriptor but a slot, whose code is the interpreter's. It does not call `__getattr__`.
    try:
        return object.__getattribute__(owner, name)
    except (AttributeError, TypeError):  # an empty slot, or the slot of another class
        return NOTHING


def _is_descriptor(value: object) -> bool:
    classes = mro_of(type(value))
    return any(in_classes(classes, name) is not NOTHING for name in ("__get__", "__set__", "__delete__"))


def _subscript(container: Any, key: Any) -> Any:
    if is_one_of(type(container), (list, tuple)):
        try:
            return container[key] if is_one_of(type(key), (int, bool)) else NOTHING
        except IndexError:
            return NOTHING
    if is_one_of(type(container), _DICTS):
        # Not `container[key]`, which may compare the key with another one, by code of the user. In a copy,
        # because other threads may change the container.
        is_plain = is_one_of(type(key), _PLAIN_KEYS)
        for candidate, value in dict.copy(container).items():
            if candidate is key or (is_plain and type(candidate) is type(key) and candidate == key):
                return value
    return NOTHING


# ---- Text


_sources: dict[str, list[str]] = {}

# Since 3.14 it knows the source of `-c` and of what was typed in, by the code object. Not public.
_of_code: Callable[[CodeType, int], str] | None = getattr(linecache, "_getline_from_code", None)


def register_source(filename: str, text: str) -> None:
    """Gives the source of code that has no file, such as that of ``python -c``, whose name is ``<string>``.

    It is used for the text of items only. Tracebacks do not see it.
    """
    _sources[filename] = text.splitlines()


def _described(frame: FrameType, item: _Item) -> WithItem:
    code = frame.f_code
    line, _, _, _ = _position(code, item.first)
    text = source_line(frame, line)
    if item.look_up is not None:
        expression = _expression(item.look_up, code.co_qualname)
        # The file may have changed since.
        if _last_name(expression) not in text:
            text = ""
    else:
        expression = _cut(frame, item)
    return WithItem(code.co_filename, line, code.co_qualname, text.strip(), expression)


def _position(code: CodeType, offset: int) -> tuple[int, int | None, int | None, int | None]:
    line, end_line, column, end_column = next(
        islice(code.co_positions(), offset // 2, None), (None, None, None, None)
    )
    return line or code.co_firstlineno, end_line, column, end_column


def source_line(frame: FrameType, line: int) -> str:
    """A line of the source of a frame; empty if it cannot be had. No code of the program runs."""
    filename = frame.f_code.co_filename
    registered = _sources.get(filename)
    if registered is not None:
        return registered[line - 1] if 0 < line <= len(registered) else ""
    try:
        if _of_code is not None and (line_of_code := _of_code(frame.f_code, line)):
            return line_of_code
    except Exception:
        return ""  # a report can do without the text
    return line_of_file(filename, line, _for_loader(frame))


def line_of_file(filename: str, line: int, namespace: dict[str, Any] | None = None) -> str:
    """A line of a file; empty if it cannot be had. No code of the program runs.

    `namespace`: that of the module, if `linecache` may ask its loader for a file that is not there.
    """
    try:
        linecache.checkcache(filename)
        entry: Any = linecache.cache.get(filename, ())
        # With one item it says only how to ask the loader: a traceback has noted that.
        if len(entry) == 1 and namespace is None and not Path(filename).exists():
            return ""
        return linecache.getline(filename, line, namespace)
    except Exception:
        return ""


def _for_loader(frame: FrameType) -> dict[str, Any] | None:
    """What `linecache` has to know to ask the loader of the frame's module for its source.

    Only for a loader of the interpreter: one of the program would run its code, and may raise anything.
    """
    namespace = frame.f_globals
    if type(namespace) is not dict:
        return None
    name, loader = namespace.get("__name__"), namespace.get("__loader__")
    if type(loader) is not zipimporter or type(name) is not str:
        return None
    # From 3.15 on, `linecache` wants the loader in the specification, too.
    return {"__name__": name, "__loader__": loader, "__spec__": ModuleSpec(name, cast("Any", loader))}


def _expression(look_up: _LookUp, function: str) -> str:
    if look_up.kind == "constant":
        return repr(look_up.name) if is_one_of(type(look_up.name), _PLAIN_KEYS) else "..."
    if look_up.base is None:
        return _as_written(look_up.name, function)
    base = _expression(look_up.base, function)
    if look_up.kind == "hold":
        return f"{base}.{look_up.name}()"
    if look_up.kind == "attribute":
        return f"{base}.{_as_written(look_up.name, function)}"
    assert look_up.key is not None
    return f"{base}[{_expression(look_up.key, function)}]"


def _as_written(name: str, function: str) -> str:
    """``__lock`` for ``_Cache__lock`` in a method of Cache."""
    for cls in function.split("."):
        prefix = f"_{cls.lstrip('_')}"
        if name.startswith(f"{prefix}__"):
            return name.removeprefix(prefix)
    return name


def _last_name(expression: str) -> str:
    return expression.partition("[")[0].rpartition(".")[2]


def _cut(frame: FrameType, item: _Item) -> str:
    """The expression as the source has it. Only if it is in one line."""
    if item.whole is None:
        return ""
    line, end_line, column, end_column = _position(frame.f_code, item.whole)
    if line != end_line or column is None or end_column is None:
        return ""
    # The columns count bytes.
    return source_line(frame, line).encode()[column:end_column].decode(errors="replace")
