"""Random programs of hostile callers.

They call constructors, ``__new__`` alone, ``__init__`` a second time, and methods, with any arguments and
any ``self``. They set and delete attributes, make subclasses, pickles and copies, and collect garbage.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import itertools
import pickle
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from oxthreads import _oxthreads
from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures
from tests.stress.inside.hostile import NUMBERS, Values

#: Seconds a step may block before it is interrupted.
STEP_SECONDS = 0.05


def classes() -> list[type]:
    """The classes under test: the public ones, the native halves and the internal ones."""
    own: list[Any] = [
        *(threads.Lock, threads.RLock, threads.Condition, threads.Semaphore, threads.BoundedSemaphore),
        *(threads.Event, threads.Barrier, threads.Thread, threads.Timer),
        *(queues.Queue, queues.LifoQueue, queues.PriorityQueue, queues.SimpleQueue),
        *(futures.Future, futures.ThreadPoolExecutor),
    ]
    own = [each if isinstance(each, type) else type(each()) for each in own]
    native = [each for _, each in sorted(vars(_oxthreads).items()) if isinstance(each, type)]
    return own * 8 + [each for each in native if each not in own]


#: Attributes that belong to the process or to the standard library's threads, and not to one object.
_EXCLUDED = frozenset(
    [
        *("_bootstrap", "_bootstrap_inner", "_delete", "_stop", "_set_tstate_lock", "_set_ident", "_handle"),
        *("_set_native_id", "_after_fork", "_tstate_lock", "_wait_for_tstate_lock", "_reset_internal_locks"),
        *("__subclasses__", "mro", "__abstractmethods__", "_os_thread_handle", "run"),
    ]
)

#: Attributes with which a class is made. A random subclass does not override them.
_NOT_OVERRIDDEN = frozenset(
    [
        "__class__",
        "__getattribute__",
        "__setattr__",
        "__delattr__",
        "__dict__",
        "__new__",
        "__init_subclass__",
    ]
)


class Program:
    """One random program.

    subject: a number that decides which classes it uses.
    steps: for each step, a number that decides what the step does to the objects. A step 0 does nothing.
    trace: whether the steps are printed to standard error.
    """

    def __init__(self, subject: int, steps: list[int], classes: list[type], *, trace: bool) -> None:
        self._steps = steps
        self._classes = classes
        self._trace = trace
        self._subjects: list[Any] = []
        self._focus = random.Random(subject).sample(classes, 3)

    def run(self, alarm: Callable[[float], object], report: Callable[[BaseException], object]) -> None:
        """Do the steps, each with an alarm, and report the exceptions that they raise."""
        for step in self._steps:
            if step == 0:
                continue
            if self._trace:
                print(f"step {step}:", file=sys.stderr, flush=True)
            self._attempt(partial(self._step, random.Random(step)), alarm, report)
        self._attempt(self._end, alarm, report)

    @staticmethod
    def _attempt(
        action: Callable[[], object],
        alarm: Callable[[float], object],
        report: Callable[[BaseException], object],
    ) -> None:
        try:
            try:
                alarm(STEP_SECONDS)
                action()
            finally:
                alarm(0)
        except BaseException as error:
            # The alarm may have raised inside the `finally` above, before it was switched off.
            alarm(0)
            report(error)

    def _end(self) -> None:
        for subject in self._subjects:
            if isinstance(subject, self._executor_class):
                with contextlib.suppress(Exception):
                    self._executor_class.shutdown(subject, wait=False, cancel_futures=True)
        self._subjects.clear()

    @property
    def _executor_class(self) -> Any:
        return next(each for each in self._classes if each.__name__ == "ThreadPoolExecutor")

    def _say(self, *words: object) -> None:
        if self._trace:
            print("   ", *(self._show(word) for word in words), file=sys.stderr, flush=True)

    @staticmethod
    def _show(word: object) -> str:
        if isinstance(word, str):
            return repr(word)
        if isinstance(word, (list, tuple)):
            return f"[{', '.join(map(Program._show, word))}]"
        if type(word) is dict:
            return str({name: Program._show(value) for name, value in word.items()})
        try:
            return repr(word) if type(word) in (int, float, bool, type) else object.__repr__(word)
        except BaseException:
            return "?"

    def _step(self, chance: random.Random) -> None:
        values = Values(chance, self._subjects)
        if len(self._subjects) < 2 or chance.random() < 0.15:
            self._make(chance, values)
            return
        chance.choice([self._method] * 10 + [self._raw] * 3 + [self._attribute] * 3 + [self._misc] * 2)(
            chance, values
        )

    def _make(self, chance: random.Random, values: Values) -> None:
        cls = chance.choice(self._focus)
        if chance.random() < 0.3:
            cls = self._subclass(chance, values, cls)
        kind = chance.randrange(6)
        positional, keywords = values.arguments_for(cls)
        if kind < 3:  # most likely, as an ordinary program would
            likely = self._likely(chance, values, cls)
            positional = [] if likely is None or chance.random() < 0.5 else [likely]
            keywords = {}
            if cls.__name__ in ("Barrier", "Timer", "Mine") and not positional:
                positional = [1, int]
        self._say("new" if kind == 5 else "make", cls, positional, keywords)
        made = cls.__new__(cls, *positional, **keywords) if kind == 5 else cls(*positional, **keywords)
        self._subjects.append(made)

    def _likely(self, chance: random.Random, values: Values, cls: type) -> Any:
        if any(each in cls.__name__ for each in ("Future", "Event", "Lock", "SimpleQueue")):
            return None
        if issubclass(cls, threading.Condition) or cls.__name__ == "Condition":
            return chance.choice([None, *self._subjects])
        if issubclass(cls, threading.Thread):
            return None
        if issubclass(cls, self._executor_class):
            return chance.choice([1, 2, 3])
        return chance.choice([1, 2, chance.choice(NUMBERS)])

    def _subclass(self, chance: random.Random, values: Values, base: type) -> type:
        names = [name for name in dir(base) if name not in _EXCLUDED and name not in _NOT_OVERRIDDEN]
        body: dict[str, Any] = {}
        for name in chance.sample(names, min(len(names), chance.choice([0, 1, 1, 2, 4]))):
            inherited = getattr(base, name, None)

            def override(self: Any, *args: Any, _own: Any = inherited, **keywords: Any) -> Any:
                return _own(self, *args, **keywords)

            choice = chance.randrange(4)
            body[name] = override if choice < 2 else values.function() if choice == 2 else values.any()
        bases: tuple[type, ...] = (base,)
        if chance.random() < 0.15:
            bases = (base, chance.choice(self._classes))
        if chance.random() < 0.1:
            body["__slots__"] = ()
        self._say("class", base, sorted(body), bases)
        return type("Mine", bases, body)

    def _method(self, chance: random.Random, values: Values) -> None:
        subject = chance.choice(self._subjects)
        cls = type(subject)
        public = [name for name in dir(cls) if name not in _EXCLUDED and callable(getattr(cls, name, None))]
        if chance.random() < 0.75:
            public = [name for name in public if not name.startswith("__")] or public
        name = chance.choice(public)
        if issubclass(cls, threading.Thread) and name.startswith("_") and not name.startswith("__"):
            return
        method = getattr(subject, name)
        positional, keywords = values.arguments_for(method)
        self._say("call", subject, name, positional, keywords)
        self._use(method(*positional, **keywords), chance)

    def _raw(self, chance: random.Random, values: Values) -> None:
        """Call a method of some class, or of one of its bases, with any object as `self`."""
        cls = chance.choice([*chance.choice(self._focus).__mro__])
        names = sorted(name for name in vars(cls) if name not in _EXCLUDED)
        if not names or issubclass(cls, threading.Thread) or cls is threading.Thread:
            return
        name = chance.choice(names)
        attribute = vars(cls)[name]
        this = chance.choice([*self._subjects, *self._subjects, values.any()])
        positional, keywords = values.arguments_for(attribute, bound=False)
        self._say("raw", cls, name, this, positional, keywords)
        if chance.random() < 0.2 and hasattr(attribute, "__get__"):
            attribute = attribute.__get__(this, chance.choice([None, type(this), cls]))
            self._use(attribute(*positional, **keywords) if callable(attribute) else attribute, chance)
        elif callable(attribute):
            self._use(attribute(this, *positional, **keywords), chance)

    def _use(self, result: Any, chance: random.Random) -> None:
        """Use the result of a call, if it may be an object of oxthreads or lead to one."""
        if isinstance(result, Iterator):
            for _ in itertools.islice(result, chance.randrange(5)):
                pass
        module = getattr(type(result), "__module__", None)
        if isinstance(module, str) and "oxthreads" in module and len(self._subjects) < 12:
            self._subjects.append(result)

    def _attribute(self, chance: random.Random, values: Values) -> None:
        subject = chance.choice(self._subjects)
        names = [*dir(type(subject)), *getattr(subject, "__dict__", {})]
        names = [name for name in names if isinstance(name, str) and name not in _EXCLUDED]
        if isinstance(subject, threading.Thread):
            names = [name for name in names if not name.startswith("_")]
        name = chance.choice([*names, "\ud800", "x", "__class__", "__dict__"])
        kind = chance.randrange(4)
        self._say(("get", "set", "set", "delete")[kind], subject, name)
        if kind == 0:
            self._use(getattr(subject, name), chance)
        elif kind == 3:
            delattr(subject, name)
        elif name == "__class__":
            subject.__class__ = chance.choice(self._focus)
        elif name == "__dict__":
            subject.__dict__ = chance.choice([{}, values.any()])
        else:
            setattr(subject, name, values.any())

    def _misc(self, chance: random.Random, values: Values) -> None:
        subject = chance.choice(self._subjects)
        kind = chance.randrange(12)
        self._say("misc", kind, subject)
        if kind == 0:
            gc.collect()
        elif kind == 1:
            positional, keywords = values.arguments_for(subject.__init__)
            subject.__init__(*positional, **keywords)
        elif kind == 2:
            with subject:
                self._method(chance, values)
        elif kind == 3:
            self._subjects.append(copy.copy(subject))
        elif kind == 4:
            copy.deepcopy(subject)
        elif kind == 5:
            pickle.loads(pickle.dumps(subject, chance.randrange(6)))
        elif kind == 6:
            weakref.ref(subject, values.function())
            weakref.finalize(subject, values.touch).atexit = False
        elif kind == 7:
            subject.itself = [subject, *self._subjects]
            self._subjects.remove(subject)
        elif kind == 8:
            self._subjects.pop()
        elif kind == 9:
            self._use(subject.iterate() if hasattr(subject, "iterate") else iter(subject), chance)
        elif kind == 10:
            repr(subject), str(subject), hash(subject), bool(subject), subject == values.any()
        else:
            self._functions(chance, values)

    def _functions(self, chance: random.Random, values: Values) -> None:
        several: Any = [*self._subjects, values.any()] if chance.random() < 0.2 else self._subjects
        several = chance.choice([several, iter(several), values.any(), []])
        if chance.random() < 0.5:
            futures.wait(several, values.brief(), *([values.any()] if chance.random() < 0.5 else []))
        else:
            self._use(futures.as_completed(several, chance.choice([values.brief(), values.any()])), chance)
