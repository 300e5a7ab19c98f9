"""Fixtures for tests of coroutines."""

from __future__ import annotations

import pytest

from tests.aio.event_loops import ALL, EventLoops


@pytest.fixture(params=ALL)
def loops(request: pytest.FixtureRequest) -> EventLoops:
    """Each of the libraries that run coroutines."""
    found: EventLoops = request.param
    return found
