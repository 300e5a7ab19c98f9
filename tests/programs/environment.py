"""Where programs run: an interpreter, a virtual environment for each program, and unpacked sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.programs.table import PYTEST, Library

__all__ = ["INSIDE", "Interpreter", "Workshop"]

ROOT = Path(__file__).resolve().parent.parent.parent

#: The folder with code that runs in those environments.
INSIDE = Path(__file__).resolve().parent / "inside"

_PROBE = """
import json, platform, sys, sysconfig
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([platform.python_version(), free_threaded]))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter on which the programs run."""

    path: str
    version: str
    free_threaded: bool

    @classmethod
    def at(cls, path: str) -> Interpreter:
        """The interpreter at *path*; raises OSError or CalledProcessError if it does not start."""
        probe = subprocess.run([path, "-c", _PROBE], check=True, capture_output=True, text=True)
        version, free_threaded = json.loads(probe.stdout)
        return cls(path, version, free_threaded)

    @property
    def tag(self) -> str:
        """The short version, such as "3.13" or "3.14t"."""
        return ".".join(self.version.split(".")[:2]) + "t" * self.free_threaded

    @property
    def name(self) -> str:
        """The full version, such as "3.13.0" or "3.14.0 free-threaded"."""
        return self.version + " free-threaded" * self.free_threaded


class Workshop:
    """Makes environments and unpacks sources for one interpreter.

    Downloads and installed packages stay in *cache* for the next time. Everything else is in a folder that is
    removed when the workshop is closed, as at the end of a ``with`` block.
    """

    def __init__(self, interpreter: Interpreter, cache: Path, wheels: Path | None = None) -> None:
        self.interpreter = interpreter
        self._cache = cache
        self._wheels = wheels
        #: Of suites that run side by side, one makes an environment at a time.
        self._lock = threading.Lock()
        #: The environments that have oxthreads as it is in this tree.
        self._up_to_date: set[Path] = set()
        self._scratch = tempfile.TemporaryDirectory(prefix="oxthreads-programs-", ignore_cleanup_errors=True)
        self.scratch = Path(self._scratch.name)
        # Without this file, a suite that has no configuration would use one that pytest finds further up.
        (self.scratch / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def python(self, name: str, requirements: tuple[str, ...]) -> Path:
        """The python of an environment that has *requirements*, and oxthreads as it is in this tree."""
        place = self._cache / "environments" / self.interpreter.tag / name
        python = place / "bin" / "python"
        with self._lock:
            self._make(place, python, requirements)
        return python

    def _make(self, place: Path, python: Path, requirements: tuple[str, ...]) -> None:
        stamp = place / "requirements.json"
        wanted = json.dumps([self.interpreter.name, *requirements])
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            run(self.interpreter.path, "-m", "venv", place)
            if requirements:
                run(python, "-m", "pip", "install", "--quiet", *requirements)
            stamp.write_text(wanted)
        if place not in self._up_to_date:
            options = (
                "--quiet",
                "--no-index",
                "--no-deps",
                "--force-reinstall",
                "--find-links",
                self._wheel(),
            )
            run(python, "-m", "pip", "install", *options, "oxthreads")
            self._up_to_date.add(place)

    def library(self, library: Library) -> Path:
        """The python of an environment that has *library*, and what its tests need."""
        pin = f"{library.name}=={library.version}"
        return self.python(f"{library.name}-{library.version}", (pin, *PYTEST, *library.requirements))

    def source(self, library: Library) -> Path:
        """A fresh copy of the source distribution of *library*, or of the file that replaces its tests."""
        if library.tests:
            place = Path(tempfile.mkdtemp(dir=self.scratch))
            shutil.copy(INSIDE / library.tests, place)
            return place
        store = self._cache / "sources" / f"{library.name}-{library.version}"
        if not store.exists():
            python = self.library(library)
            download = Path(tempfile.mkdtemp(dir=self.scratch))
            pin = f"{library.name}=={library.version}"
            options = ("--quiet", "--no-deps", "--no-binary", library.name, "--dest", download)
            run(python, "-m", "pip", "download", *options, pin)
            store.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(download, store)
        (archive,) = store.iterdir()
        place = Path(tempfile.mkdtemp(dir=self.scratch))
        with tarfile.open(archive) as file:
            file.extractall(place, filter="data")
        (tree,) = place.iterdir()
        return tree

    def _wheel(self) -> Path:
        """The folder with a wheel of oxthreads for this interpreter. The first call builds the wheel."""
        if self._wheels is None:
            self._wheels = self.scratch / "wheels"
            run(self.interpreter.path, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", self._wheels, ROOT)
        return self._wheels


def environment(more: dict[str, str]) -> dict[str, str]:
    """The environment variables for a program: those of this process, without those that choose a library."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OXTHREADS", "VIRTUAL_ENV", "PYTHONPATH") and not name.startswith("PYTEST_")
    }
    return {**kept, **more}


def run(*command: str | Path) -> None:
    """Run a command that must succeed. Print its output and raise RuntimeError if it fails."""
    done = subprocess.run(
        command, env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise RuntimeError(f"{' '.join(map(str, command))}: exit status {done.returncode}")
