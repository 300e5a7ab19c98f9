"""Fixtures for tests of reports, profiles and traces."""

from __future__ import annotations

import pytest

from tests.support.waits import until_nobody_waits


@pytest.fixture
def nobody_else_waits() -> None:
    """No thread of an earlier test of this process waits: a profile or a trace would show that, too."""
    until_nobody_waits()
