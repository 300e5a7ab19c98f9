"""What reports, profiles and traces say of groups of tasks, and of waits that scopes end."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from tests.diagnose.running import WAITING, Run, start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/inspection.schema.json"

#: Programs begin with this.
PROGRAM = f"""{WAITING}
import json
from concurrent.futures import Future
from oxthreads.diagnose import _inspection
from oxthreads.tasks import CancelScope, TaskGroup, move_on_after, sleep
stop = threading.Event()

def wait():
    stop.wait()

def tree():
    return diagnose.report().partition("Groups of tasks:\\n")[2]

def until_tree(*parts):
    until(lambda: all(part in tree() for part in parts))
"""


def output_of(program: str, *options: str) -> str:
    """What the program writes to standard output, without the times of waits. It must write nothing else."""
    with start(PROGRAM + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == "", str(process)
        return without_times(process.output)


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d s", "N s", text)


NESTED = """
pages = queue.Queue()
fetching = threading.Event()

def parse():
    pages.get()

def fetch():
    fetching.set()
    with TaskGroup(name="parse") as group:
        group.start_soon(parse)

def crawl():
    with TaskGroup(name="crawl", max_workers=2) as group:
        group.start_soon(fetch)
        fetching.wait()  # so that its thread is the first one
        for _ in range(2):
            group.start_soon(wait)

crawler = threading.Thread(target=crawl, name="crawler")
crawler.start()
until_tree("parse() in parse_0 has waited", "wait() in crawl_1 has waited", "fetch() in crawl_0 has waited")
until_asleep(crawler)
"""
LET_END = """
stop.set()
pages.put(1)
crawler.join()
"""


def test_groups_are_shown_as_a_tree() -> None:
    output = output_of(f"{NESTED}\nprint(tree())\n{LET_END}\nprint(repr(tree()))")
    assert output == (
        "TaskGroup crawl: 3 tasks, 1 not begun; crawler waits at its end\n"
        "├── fetch() in crawl_0 has waited N s for TaskGroup parse\n"
        "│   └── TaskGroup parse: 1 task; crawl_0 waits at its end\n"
        "│       └── parse() in parse_0 has waited N s for an item of Queue pages\n"
        "└── wait() in crawl_1 has waited N s for Event stop\n"
        "\n"
        "''\n"
    )


def test_a_wait_at_the_end_of_a_group_names_its_tasks() -> None:
    output = output_of(f"{NESTED}\nprint(said_of(crawler).splitlines()[0])\n{LET_END}")
    assert output == (
        "crawler has waited N s for TaskGroup crawl, whose tasks fetch() in crawl_0 and wait() in crawl_1"
        " have not ended and 1 task has not begun\n"
    )


def test_groups_are_data_of_the_schema() -> None:
    program = f"{NESTED}\nprint(json.dumps(_inspection.description()))\n{LET_END}"
    with start(PROGRAM + program) as process:
        assert process.ends() == 0, str(process)
        data: dict[str, Any] = json.loads(process.output)
    fastjsonschema.compile(json.loads(SCHEMA.read_text()))(data)
    (crawl,) = data["task_groups"]
    assert crawl["name"] == "crawl"
    assert crawl["opened_by"]["name"] == "crawler"
    assert (crawl["unfinished"], crawl["pending"], crawl["cancelled"]) == (3, 1, False)
    assert crawl["waits_for_tasks"] is True
    fetch, wait = crawl["tasks"]
    assert (fetch["function"], wait["function"]) == ("fetch", "wait")
    assert fetch["wait"]["for"] == "TaskGroup"
    assert fetch["wait"]["object"] == "TaskGroup parse"
    (parse,) = fetch["groups"]
    assert parse["tasks"][0]["thread"]["name"] == "parse_0"
    assert wait["groups"] == crawl["groups"] == []


def test_inspect_shows_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path) if len(str(tmp_path)) < 60 else os.path.relpath(tmp_path))
    program = f"{NESTED}\nprint('up', flush=True)\ncrawler.join()"
    command = "import sys; from oxthreads.cli import main; sys.exit(main())"
    with start(PROGRAM + program, "--watch") as process:
        assert not process.wait_until(lambda: [] if "up" in process.output else ["up"]), str(process)
        with Run("-c", command, "inspect", str(process.process.pid)) as inspection:
            assert inspection.ends() == 0, str(inspection)
            assert "│       └── parse() in parse_0 has waited" in inspection.output


@pytest.mark.parametrize("cancels", [False, True])
def test_a_group_whose_block_has_not_ended(cancels: bool) -> None:
    output = output_of(
        f"""
def hold():
    lock.acquire()

lock = threading.Lock()
lock.acquire()
with TaskGroup() as group:
    group.start_soon(hold)
    if {cancels}: group.cancel()
    until_tree("has waited") if not {cancels} else time.sleep(0.1)
    print(tree().splitlines()[0])
    lock.release()
"""
    )
    state = "; cancelled" if cancels else ""
    assert re.fullmatch(rf"TaskGroup group: (1 task|no tasks){state}; MainThread is in its block\n", output)


def test_a_group_without_a_name_is_called_by_where_it_was_made() -> None:
    output = output_of(
        """
def enter():
    groups.add(TaskGroup())
    for group in groups: group.__enter__()

groups = set()  # whose elements have no names
enter()
print(tree())
"""
    )
    assert re.match(
        r"TaskGroup made at <string>:\d+ in enter: no tasks; MainThread is in its block\n", output
    )


def test_groups_in_the_block_of_a_group_and_in_a_task_are_told_apart() -> None:
    output = output_of(
        """
def task():
    with TaskGroup(name="in task") as inner, TaskGroup(name="in block of that"):
        inner.start_soon(wait)
        stop.wait()

with TaskGroup(name="outer") as outer, TaskGroup(name="in block"):
    outer.start_soon(task)
    until_tree("wait() in in task_0 has waited", "task() in outer_0 has waited")
    print(tree())
    stop.set()
"""
    )
    assert output == (
        "TaskGroup outer: 1 task; MainThread is in its block\n"
        "├── task() in outer_0 has waited N s for Event stop\n"
        "│   └── TaskGroup in task: 1 task; outer_0 is in its block\n"
        "│       ├── wait() in in task_0 has waited N s for Event stop\n"
        "│       └── TaskGroup in block of that: no tasks; outer_0 is in its block\n"
        "└── TaskGroup in block: no tasks; MainThread is in its block\n"
        "\n"
    )


def test_a_worker_that_runs_a_task_of_a_group_that_it_waits_for() -> None:
    output = output_of(
        """
def outer():
    with TaskGroup(pool, name="inner") as group:
        group.start_soon(wait)

pool = ThreadPoolExecutor(1, thread_name_prefix="only")
with TaskGroup(pool, name="outer") as group:
    group.start_soon(outer)
    until_tree("wait() in only_0 has waited")
    print(tree())
    stop.set()
"""
    )
    assert output == (
        "TaskGroup outer: 1 task; MainThread is in its block\n"
        "└── outer() in only_0 waits for a task that its thread runs\n"
        "    └── TaskGroup inner: 1 task; only_0 waits at its end\n"
        "        └── wait() in only_0 has waited N s for Event stop\n"
        "\n"
    )


def test_trees_have_a_limit() -> None:
    output = output_of(
        """
groups = contextlib.ExitStack()
for number in range(55):
    group = groups.enter_context(TaskGroup(name=str(number)))
for _ in range(3):
    group.start_soon(wait)
outer = contextlib.ExitStack()
many = threading.Thread(target=lambda: [TaskGroup(name="many").__enter__() for _ in range(2)])
print(tree().splitlines()[-1].strip())
diagnose._group_tree.MOST_SHOWN = 2
diagnose._group_tree.DEEPEST = 60
until_tree("wait() in 54_0")
print(*(line.strip() for line in tree().splitlines()[-2:]))
stop.set()
groups.close()
"""
    )
    deep, wide = output.splitlines()
    assert deep == "└── and 1 more group"
    assert wide.endswith("└── and 1 more task")


def test_functions_are_described_without_code_of_the_program() -> None:
    output = output_of(
        """
class Hostile:
    def __init__(self): self.armed = False
    def __call__(self):
        started.set()
        stop.wait()
    def __getattribute__(self, name):
        if object.__getattribute__(self, "armed"): print("asked for", name)
        return object.__getattribute__(self, name)

started = threading.Event()
hostile = Hostile()
with TaskGroup() as group:
    group.start_soon(hostile)
    started.wait()
    hostile.armed = True
    for _ in range(20):
        shown = tree()
    hostile.armed = False
    print("Hostile()" in shown)
    stop.set()
"""
    )
    assert output == "True\n"


def test_a_forked_child_has_no_groups() -> None:
    output = output_of(
        """
import warnings
warnings.simplefilter("ignore")
with TaskGroup(name="of the parent") as group:
    group.start_soon(wait)
    until_tree("wait()")
    child = os.fork()
    if child == 0:
        os.write(1, repr(tree()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    stop.set()
"""
    )
    assert output == "''"


def test_reports_while_groups_come_and_go() -> None:
    output = output_of(
        """
sys.setswitchinterval(1e-5)
done = threading.Event()

def nested(depth):
    with TaskGroup(name=f"depth {depth}") as group:
        for _ in range(2):
            group.start_soon(nested, depth - 1) if depth else group.start_soon(pow, 2, 5)

def work():
    while not done.is_set():
        nested(2)

workers = [threading.Thread(target=work) for _ in range(3)]
for each in workers: each.start()
seen = set()
begun = time.monotonic()
while time.monotonic() < begun + (3 if len(seen) == 3 else 25):
    shown = tree()
    seen.update(depth for depth in range(3) if f"TaskGroup depth {depth}: " in shown)
done.set()
for each in workers: each.join()
print(sorted(seen), repr(tree()))
"""
    )
    assert output == "[0, 1, 2] ''\n"


DEADLOCK = """
from oxthreads.tasks import TaskGroup
lock = threading.Lock()

def pay():
    with lock:
        pass

with lock:
    with TaskGroup(name="payments") as group:
        group.start_soon(pay)
        {more}
"""


@pytest.mark.parametrize("more", ["pass", "group.start_soon(time.sleep, 1000)"])
def test_a_task_that_waits_for_what_the_opener_of_its_group_has(more: str) -> None:
    with start(DEADLOCK.format(more=more), "--watch=exit") as process:
        assert process.ends() == 2, str(process)
        report = without_times(process.errors)
    assert report.startswith(
        "oxthreads: deadlock: 2 threads wait for each other, and nothing else can end it.\n"
    )
    assert "MainThread has waited N s for TaskGroup payments\n" in report
    assert "pay() in payments_0" in report
    assert re.search(r"  which MainThread took at <string>:\d+ in <module>", report)
    assert "Groups of tasks:\nTaskGroup payments: " in report


def test_a_deadlock_of_a_group_is_ended_in_the_task() -> None:
    program = f"""
try:
{DEADLOCK.format(more="pass").replace(chr(10), chr(10) + "    ")}
except* diagnose.DeadlockError as errors:
    print("ended", *(type(error).__name__ for error in errors.exceptions))
"""
    with start(program, "--watch=raise") as process:
        assert process.ends() == 0, str(process)
        assert process.output == "ended DeadlockError\n"


def test_all_asleep_shows_the_tree() -> None:
    program = """
from oxthreads.tasks import TaskGroup
stop = threading.Event()
with TaskGroup(name="waiters") as group:
    group.start_soon(stop.wait)
"""
    with start(program, "--watch") as process:
        assert not process.wait_until(lambda: [] if "Groups of tasks:\n" in process.errors else ["the tree"])
        assert (
            "oxthreads: all 2 threads sleep without a time-out; only Ctrl-C can end it.\n" in process.errors
        )


#: Programs that go on, although a thread waits for one that waits for it.
GOES_ON = {
    "a scope is cancelled": """
def take():
    with lock: pass

def call(): pool.submit(take).result()

def cancel():
    time.sleep(1.5)
    group.cancel()

lock, pool = threading.Lock(), ThreadPoolExecutor(1)
threading.Thread(target=cancel).start()
with lock, TaskGroup() as group:
    group.start_soon(call)
""",
    "a scope has a deadline": """
with move_on_after(2):
    threading.Event().wait()
""",
    "a notification is waited for in a scope with a deadline": """
condition = threading.Condition()
with condition, move_on_after(2):
    condition.wait()
""",
    "a group is in a scope with a deadline": """
with move_on_after(2), TaskGroup() as group:
    group.start_soon(threading.Event().wait)
""",
    "an executor that finishes tasks in another thread": """
class Executor(concurrent.futures.Executor):
    def submit(self, function, *arguments):
        future = Future()
        def run():
            result = function(*arguments)
            threading.Timer(2, future.set_result, [result]).start()
            with lock: pass
        threading.Thread(target=run).start()
        return future

lock = threading.Lock()
with lock, TaskGroup(Executor()) as group:
    group.start_soon(pow, 2, 5)
""",
}


@pytest.mark.parametrize("name", GOES_ON)
def test_no_false_alarm(name: str) -> None:
    output = output_of(f"{GOES_ON[name]}\nprint('went on')", "--watch=exit")
    assert output == "went on\n"


def test_a_worker_runs_a_task_that_frees_what_it_has() -> None:
    program = """
def hold():
    lock.acquire()
    with TaskGroup(pool) as group:
        groups.append(group)
        group.start_soon(take)
        has_begun.wait()  # in the other worker

def take():
    has_begun.set()
    with lock: pass

lock, has_begun = threading.RLock(), threading.Event()
pool, groups = ThreadPoolExecutor(2), []
held = pool.submit(hold)
time.sleep(3)  # it is told after a second
groups[0].start_soon(lock.release)
held.result()
print("went on")
"""
    # It is no certain deadlock.
    with start(PROGRAM + program, "--watch=exit") as process:
        assert process.ends() == 0, str(process)
        first = "oxthreads: likely deadlock, if RLock lock is released by whoever took it:"
        assert process.errors.startswith(first), str(process)


def test_waits_that_a_scope_ends() -> None:
    output = output_of(
        """
def bounded():
    with move_on_after(1000): stop.wait()
def slept():
    with CancelScope() as scope:
        scopes.append(scope)
        sleep(2000)
scopes = []
one, two = wait_in(bounded, name="one"), wait_in(slept, name="two")
for each in (one, two): print(said_of(each).splitlines()[0])
stop.set()
scopes[0].cancel()
two.join()
"""
    )
    assert output == (
        "one has waited N s for Event stop, for N s more at most (the deadline of a scope),"
        " which is not set\n"
        "two has waited N s for its sleep to end, for N s more at most\n"
    )


SPANS = """
from oxthreads.tasks import TaskGroup, sleep

def parse(): sleep(0.01)

def fetch():
    with TaskGroup(name="parse") as inner:
        inner.start_soon(parse)

def run():
    for _ in range(2):
        with TaskGroup(name="crawl") as outer:
            for _ in range(2): outer.start_soon(fetch)
    with TaskGroup() as unnamed:
        unnamed.start_soon(parse)
"""


def test_a_profile_counts_groups_by_their_names() -> None:
    program = f"""{SPANS}
import json
with diagnose.profile() as found: run()
print(json.dumps(found.data()))
"""
    with start(program) as process:
        assert process.ends() == 0, str(process)
        data = json.loads(process.output)
    waits = {row["object"]: row for row in data["objects"]}
    counts = {name: row["waits"] for name, row in waits.items() if row["for"] == "TaskGroup"}
    # A wait that need not sleep is none.
    assert counts.keys() == {"TaskGroup crawl", "TaskGroup parse", "TaskGroup"}
    assert counts["TaskGroup crawl"] <= 2
    assert waits["its sleep to end"]["idle"] is True
    assert "a call to run in TaskGroup parse" in waits
    pools = {row["pool"]: row for row in data["pools"]}
    assert pools.keys() == {"TaskGroup crawl", "TaskGroup parse", "TaskGroup"}
    calls = {
        (name, function["function"]["function"]): function["calls"]
        for name, row in pools.items()
        for function in row["functions"]
    }
    assert calls == {
        ("TaskGroup crawl", "fetch"): 4,
        ("TaskGroup parse", "parse"): 4,
        ("TaskGroup", "parse"): 1,
    }
    assert pools["TaskGroup crawl"]["workers"] == 4


def test_a_trace_tells_nested_groups_apart(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    program = f"""{SPANS}
with diagnose.trace({str(file)!r}): run()
"""
    with start(program) as process:
        assert process.ends() == 0, str(process)
    events = json.loads(file.read_text())["traceEvents"]
    calls = [each for each in events if each.get("cat") == "call" and each["ph"] == "X"]
    fetches = {each["args"]["group_number"] for each in calls if each["name"] == "fetch"}
    parses = [each["args"] for each in calls if each["name"] == "parse"]
    assert len(fetches) == 2
    assert all(each["args"]["group"] == "crawl" for each in calls if each["name"] == "fetch")
    assert [each["group"] for each in parses].count("parse") == 4
    assert len({each["group_number"] for each in parses}) == 5
    assert {each.get("inside_group") for each in parses} == {*fetches, None}
    waits = {each["name"] for each in events if each.get("cat") == "wait"}
    assert {"TaskGroup crawl", "TaskGroup parse"} <= waits
