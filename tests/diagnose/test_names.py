"""Names for objects: which are found, which is preferred, and that nothing of the user is called."""

from __future__ import annotations

import sys
import threading
import time
import types
from collections import OrderedDict, defaultdict
from types import FrameType

import pytest

from oxthreads.diagnose import _names
from oxthreads.diagnose._names import name_of


class Lock:
    pass


def named(lock: object) -> str | None:
    """The name that the caller, and its callers up to the test, have for an object."""
    frames = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is globals():
        frames.append(frame)
        frame = frame.f_back
    return name_of(lock, frames)


of_module = Lock()
table = {"a": Lock(), 3: Lock(), None: Lock(), (1, 2): Lock()}
rows = [Lock() for _ in range(5)]
config = types.ModuleType("config")
config.lock = Lock()
config._hidden = Lock()


class Cache:
    of_class = Lock()
    of_classes = (Lock(),)

    def __init__(self):
        self.lock = Lock()
        self._guard = Lock()
        self.__private = Lock()
        self.locks = {"a": Lock()}

    def name(self, what):
        return named(what)

    def name_private(self):
        return named(self.__private)

    @classmethod
    def name_of_class(cls):
        return named(cls.of_class)


class Small(Cache):
    __slots__ = ("slot",)

    def __init__(self):
        super().__init__()
        self.slot = Lock()


everywhere = Cache()


class TestWhere:
    """Where the object is found."""

    def test_nowhere(self):
        assert name_of(Lock(), [sys._getframe()]) is None
        assert name_of(of_module, []) is None
        assert name_of(None, []) is None

    def test_variables(self):
        local = Lock()
        assert named(local) == "local"
        assert named(of_module) == "of_module"

    def test_variable_of_an_outer_function(self):
        outer = Lock()

        def ask():
            assert outer is not None
            return name_of(outer, [sys._getframe()])

        assert ask() == "outer"

    def test_attributes_of_self(self):
        cache = Cache()
        assert cache.name(cache.lock) == "Cache.lock"
        assert cache.name(cache._guard) == "Cache._guard"
        assert cache.name_private() == "Cache.__private"
        assert cache.name(Cache.of_class) == "Cache.of_class"
        assert cache.name_of_class() == "Cache.of_class"

    def test_attributes_of_a_subclass(self):
        small = Small()
        assert small.name(small.lock) == "Small.lock"
        assert small.name(small.slot) == "Small.slot"
        assert small.name(Cache.of_class) == "Cache.of_class"

    def test_attributes_of_others(self):
        cache = Cache()
        assert named(cache.lock) == "cache.lock"
        assert named(everywhere.lock) == "everywhere.lock"
        assert named(cache._guard) == "cache._guard"
        assert named(config.lock) == "config.lock"

    def test_class_attributes(self):
        assert named(Cache.of_class) == "Cache.of_class"

    def test_items(self):
        cache, local = Cache(), [Lock(), Lock()]
        assert named(local[1]) == "local[1]"
        assert named(table["a"]) == "table['a']"
        assert named(table[3]) == "table[3]"
        assert named(table[None]) == "table[None]"
        assert named(table[1, 2]) == "table[...]"
        assert named(rows[4]) == "rows[4]"
        assert named(cache.locks["a"]) == "cache.locks['a']"
        assert cache.name(cache.locks["a"]) == "Cache.locks['a']"
        assert named(Cache.of_classes[0]) == "Cache.of_classes[0]"

    def test_other_dicts(self):
        of_default, ordered = defaultdict(Lock), OrderedDict(b=Lock())
        assert named(of_default["a"]) == "of_default['a']"
        assert named(ordered["b"]) == "ordered['b']"

    def test_long_keys(self):
        by_name = {"x" * 1000: Lock()}
        name = named(by_name["x" * 1000])
        assert name is not None
        assert name.startswith("by_name['xxx")
        assert name.endswith("...']")
        assert len(name) < 60

    def test_variables_without_a_name(self):
        namespace = {"name_of": name_of, "sys": sys, "@py_assert1": Lock()}
        exec("def ask(lock):\n    return name_of(lock, [sys._getframe(0)])", namespace)
        assert namespace["ask"](namespace["@py_assert1"]) == "lock"
        exec("def ask():\n    return name_of(globals()['@py_assert1'], [sys._getframe()])", namespace)
        assert namespace["ask"]() is None

    def test_class_body(self):
        class Body:
            lock = Lock()
            name = name_of(lock, [sys._getframe()])

        assert Body.name == "lock"

    def test_frames_of_several_modules(self):
        namespace = {"name_of": name_of, "sys": sys, "there": Lock(), "rows": rows}
        exec("def ask(lock):\n    return name_of(lock, [sys._getframe(), sys._getframe(1)])", namespace)
        assert namespace["ask"](namespace["there"]) == "there"
        assert namespace["ask"](of_module) == "of_module"


class TestWhich:
    """Which of several names is chosen."""

    def test_attribute_rather_than_local_variable(self):
        cache = Cache()
        lock = cache.lock
        assert named(lock) == "cache.lock"
        assert cache.name(lock) == "Cache.lock"

    def test_global_rather_than_local_variable(self):
        lock = of_module
        assert named(lock) == "of_module"

    def test_variable_rather_than_item(self):
        lock = Lock()
        several = [lock]
        assert named(several[0]) == "lock"

    def test_variable_rather_than_a_private_attribute(self):
        cache = Cache()
        guard = cache._guard
        assert named(guard) == "guard"

    def test_innermost_frame(self):
        lock = Lock()

        def call(a_long_name):
            return named(a_long_name)

        assert call(lock) == "a_long_name"

    def test_shortest_then_first(self):
        a_longer_one = y = x = Lock()
        assert named(a_longer_one) == "x"
        assert x is y

    def test_the_same_each_time(self):
        cache = Cache()
        cache.x = cache.y = cache.z = Lock()
        assert {cache.name(cache.z) for _ in range(10)} == {"Cache.x"}

    def test_self_is_no_name(self):
        class Own:
            def name(self):
                return name_of(self, [sys._getframe()])

            @classmethod
            def name_class(cls):
                return name_of(cls, [sys._getframe()])

        assert Own().name() is None
        assert Own.name_class() is None

    def test_our_own_names_are_left_out(self):
        _oxthreads_lock = Lock()
        cache = Cache()
        cache._oxthreads_lock = _oxthreads_lock
        assert name_of(_oxthreads_lock, [sys._getframe()]) is None
        assert named(cache._oxthreads_lock) is None


def refuse(*_):
    raise AssertionError("code of the user was called")


class TestSilence:
    """It calls nothing of the user's, and raises nothing."""

    def test_hostile_objects(self):
        lock = Lock()

        class Hostile:
            __getattr__ = __getattribute__ = __eq__ = __hash__ = __repr__ = __len__ = refuse
            __iter__ = __bool__ = __getitem__ = __contains__ = refuse
            prop = property(refuse)
            __class__ = property(refuse)

        class HostileMeta(type):
            __getattribute__ = __eq__ = __hash__ = __bool__ = refuse
            __instancecheck__ = __subclasscheck__ = refuse

        class OfMeta(metaclass=HostileMeta):
            pass

        class HostileDict(dict):
            items = keys = values = __iter__ = __getitem__ = get = copy = refuse

        class HostileList(list):
            __iter__ = __getitem__ = __len__ = refuse

        class WithProperty:
            __dict__ = property(refuse)

        class Key:
            __repr__ = __str__ = __eq__ = refuse

            def __hash__(self):
                return 1

        class Wrong:
            __slots__ = ("__dict__",)
            slot = None

        class Other:
            __slots__ = ("slot",)

        # A slot in a class that does not have it.
        Wrong.slot = Other.__dict__["slot"]
        wrong, hostile, meta, instance = Wrong(), Hostile(), OfMeta, type.__call__(OfMeta)
        both = [instance, meta]
        of_list, with_property = HostileList([lock]), WithProperty()
        of_dict, of_key = HostileDict(a=1), {Key(): Lock()}
        frame = sys._getframe()
        dict.__setitem__(of_dict, "b", lock)
        assert name_of(lock, [frame]) == "lock"
        assert name_of(next(iter(of_key.values())), [frame]) == "of_key[...]"
        assert name_of(Lock(), [frame]) is None
        assert (wrong, hostile, both, of_list, with_property) is not None

    def test_values_of_subclasses_of_dict(self):
        class HostileDict(dict):
            items = __iter__ = __getitem__ = refuse

        hidden = HostileDict()
        dict.__setitem__(hidden, "b", Lock())
        assert name_of(dict.get(hidden, "b"), [sys._getframe()]) == "hidden['b']"

    def test_namespaces_of_subclasses_of_dict(self):
        class HostileDict(dict):
            items = __iter__ = __getitem__ = refuse

        cache, namespace = Cache(), HostileDict()
        dict.__setitem__(namespace, "lock", Lock())
        cache.__dict__ = namespace
        assert name_of(dict.get(namespace, "lock"), [sys._getframe()]) == "cache.lock"

    def test_attributes_found_in_another_way(self):
        class Proxy:
            def __getattribute__(self, name):
                refuse()

        proxy, stored = Proxy(), {"lock": Lock()}
        object.__setattr__(proxy, "lock", stored["lock"])
        # The program would not find it at `proxy.lock`.
        assert name_of(stored["lock"], [sys._getframe()]) == "stored['lock']"

    def test_changed_meanwhile(self):
        def items():
            yield "a", 1
            raise RuntimeError("dictionary changed size during iteration")

        assert _names._copied(items) == []

    def test_thread_locals(self):
        calls = []

        class Local(threading.local):
            def __init__(self):
                calls.append(self)

        local = Local()
        done = []

        def ask():
            assert local is not None
            done.append(name_of(Lock(), [sys._getframe()]))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert done == [None]
        assert len(calls) == 1

    def test_odd_name_of_a_class(self):
        class Text(str):
            __slots__ = ()
            __format__ = __str__ = __eq__ = lstrip = refuse
            __hash__ = str.__hash__

        class Own:
            def __init__(self):
                self.lock = Lock()

            def name(self):
                return name_of(self.lock, [sys._getframe()])

        Own.__name__ = Text("Own")
        assert Own().name() == "?.lock"

    def test_empty_slots(self):
        class Slotted:
            __slots__ = ("empty", "full")

        slotted = Slotted()
        slotted.full = Lock()
        assert named(slotted.full) == "slotted.full"

    def test_odd_namespaces(self):
        class Namespace(dict):
            items = refuse

        namespace = Namespace()
        exec("name = name_of(object(), [sys._getframe()])", {"name_of": name_of, "sys": sys}, namespace)
        assert namespace["name"] is None

    def test_names_that_are_no_text(self):
        cache = Cache()
        cache.__dict__[3] = Lock()
        cache.__dict__[4] = lock = Lock()
        assert name_of(lock, [sys._getframe()]) == "lock"
        assert name_of(cache.__dict__[3], [sys._getframe()]) is None


class TestBounds:
    """The search has an end."""

    def test_many_items(self):
        many = [Lock() for _ in range(5000)]
        by_key = {number: Lock() for number in range(5000)}
        assert named(many[4999]) == "many[4999]"
        assert named(by_key[10]) == "by_key[10]"

    @pytest.mark.one_thread("measures time")
    def test_what_is_huge(self):
        size = 1_000_000
        huge = list(range(size))
        by_key = dict.fromkeys(huge)
        objects = {number: Cache() for number in range(2000)}
        frame = sys._getframe()
        start = time.thread_time()
        assert name_of(Lock(), [frame]) is None
        # It takes about 10 ms. To look at everything would take 100 times as long.
        assert time.thread_time() - start < 0.5
        assert len(by_key) == size
        assert len(objects) == 2000

    def test_limit(self):
        assert name_of(rows[4], [sys._getframe()], limit=3) is None
        assert name_of(rows[4], [sys._getframe()], limit=0) is None
        local = Lock()
        assert name_of(local, [sys._getframe()], limit=2) == "local"

    def test_references_that_are_in_a_circle(self):
        ring: list[object] = []
        ring.append(ring)
        cache = Cache()
        cache.cache = cache
        assert named(Lock()) is None
        assert named(ring) == "ring"
