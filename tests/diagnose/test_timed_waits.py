"""What reports say of threads that wait for a `Limiter` or a `DelayQueue`."""

from __future__ import annotations

import os

import pytest

from tests.diagnose.running import WAITING, start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

PROGRAM = (
    WAITING
    + """
from oxthreads.channels import DelayQueue
from oxthreads.locks import Limiter

service, reminders, later = Limiter(1e-6), DelayQueue(), DelayQueue(1)
service.acquire()
later.put("in an hour", 3600)

def waits(name, function, *arguments):
    print(said_of(wait_in(function, *arguments, name=name)).splitlines()[0].partition(" for ")[2])
"""
)


def output_of(program: str, *options: str) -> list[str]:
    """The lines that the program writes to standard output."""
    with start(PROGRAM + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""
        return process.output.splitlines()


def test_a_report_names_them_and_says_how_long_the_first_waits() -> None:
    first, second, get, timed, put, join = output_of(
        """
waits("first", service.acquire)
waits("second", service.acquire)
waits("third", reminders.get)
waits("fourth", later.get)
waits("fifth", later.put, 2)
waits("sixth", later.join)
"""
    )
    assert first.startswith("Limiter service, for ")
    assert first.endswith(" s more at most")
    assert second == "Limiter service"
    assert get == "an item of DelayQueue reminders"
    assert timed.startswith("an item of DelayQueue later, for 3")
    assert (put, join) == ("room in DelayQueue later", "the end of the work of DelayQueue later")


def test_given_names_are_used() -> None:
    limiter, queue = output_of(
        """
diagnose.set_name(service, "the service")
diagnose.set_name(reminders, "bell")
waits("first", service.acquire, True, -1)
waits("second", reminders.get)
"""
    )
    assert limiter.startswith("Limiter the service, for ")
    assert queue == "an item of DelayQueue bell"
