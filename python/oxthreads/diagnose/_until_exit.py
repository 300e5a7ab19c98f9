"""What is recorded until the process exits, and is written then."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["directory_error", "finish_at_exit", "path_of"]


def directory_error(file: str) -> str | None:
    """Why there can be no such file; None if nothing is known against it."""
    directory = Path(file).parent
    return None if directory.absolute().is_dir() else f"there is no directory {str(directory)!r}"


def path_of(file: str) -> Path:
    """The file for this process. "{pid}" in the name stands for the number of the process."""
    # The program may change the directory.
    return Path(file.replace("{pid}", str(os.getpid()))).absolute()


def finish_at_exit(finish: Callable[[], object]) -> None:
    """Call the function when the process exits, also after an error. A child of a fork does not call it."""
    process = os.getpid()

    def finish_here() -> None:
        if os.getpid() == process:
            finish()

    atexit.register(finish_here)
