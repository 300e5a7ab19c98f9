"""The programs as tests: ``pytest -m programs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.programs import servers
from tests.programs.__main__ import CACHE
from tests.programs.environment import Interpreter, Workshop
from tests.programs.suites import compare, is_available
from tests.programs.table import PROGRAMS, Program

pytestmark = [pytest.mark.programs, pytest.mark.timeout(0)]


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    """One workshop for all tests, because it builds a wheel."""
    with Workshop(Interpreter.at(sys.executable), CACHE) as workshop:
        yield workshop


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_the_same_tests_pass_on_both_libraries(program: Program, workshop: Workshop) -> None:
    if not is_available(program, workshop):
        pytest.skip("not shipped with this interpreter")
    comparison = compare(program, workshop)
    assert comparison.unexplained == [], comparison


@pytest.mark.skipif(not servers.is_available(), reason="neither wrk nor ab is there")
@pytest.mark.parametrize("server", servers.SERVERS, ids=[server.name for server in servers.SERVERS])
def test_a_server_works_under_load(server: servers.Server, workshop: Workshop) -> None:
    figures = servers.measure(server, workshop, seconds=10)
    assert servers.complaints(figures) == [], figures
