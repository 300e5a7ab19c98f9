"""The examples in the docstrings of `oxthreads.dask` run, in a cluster that they need not make."""

from __future__ import annotations

import doctest
import io
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

import oxthreads.dask
from oxthreads.dask import DaskExecutor, DaskExecutorView

pytestmark = pytest.mark.one_thread("captures what is printed")

METHODS = [f"{cls.__name__}.{name}" for cls in (DaskExecutor, DaskExecutorView) for name in vars(cls)]
NAMES = [name for name in [*oxthreads.dask.__all__, *METHODS] if "._" not in name]


def found(name: str) -> Any:
    thing: Any = oxthreads.dask
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_examples_are_right(name: str, client: Any, pool: Any) -> None:
    text = found(name).__doc__
    assert text
    test = doctest.DocTestParser().get_doctest(
        text, {"__name__": "__main__", "client": client, "pool": pool}, name, None, 0
    )
    report = io.StringIO()
    doctest.DocTestRunner(verbose=False).run(test, out=report.write)
    assert not report.getvalue(), report.getvalue()


@pytest.mark.parametrize("name", ["submit", "map", "with_options", "stats", "shutdown"])
def test_a_method_has_an_example(name: str) -> None:
    assert ">>>" in found(f"DaskExecutor.{name}").__doc__
