"""Other interpreters in the process."""

from __future__ import annotations

import sys

import pytest

from conftest import python


@pytest.mark.skipif(sys.version_info < (3, 13), reason="there are none to be had from Python before")
def test_an_interpreter_with_a_gil_of_its_own_cannot_import_it() -> None:
    # What has no lock but the GIL must not be used under two of them (src/primitives/leaf.rs).
    done = python(
        "import _interpreters\n"
        "interpreter = _interpreters.create('isolated')\n"
        "error = _interpreters.exec(interpreter, 'import oxthreads._oxthreads')\n"
        "_interpreters.destroy(interpreter)\n"
        "print(error.formatted)",
        runner=False,
    )
    assert done.stderr == ""
    assert "does not support loading in subinterpreters" in done.stdout
