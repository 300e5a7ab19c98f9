"""The programs of docs/guides, with the frameworks that they are about: servers, a worker, notebooks, pytest.

They take the extra `guides`, and the package as installed from a wheel. So they run only where they are asked
for: `pytest -m guides`. Programs, commands and what these print are read from the pages.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

GUIDES = Path(__file__).resolve().parents[2] / "docs/guides"

pytestmark = [pytest.mark.guides, pytest.mark.one_thread("starts child interpreters")]


class Server(NamedTuple):
    """A way in which a page starts a server."""

    guide: str
    command: str
    #: What is added, so that it takes a port that is free.
    port: str
    #: Which page shows what it answers, in which of its blocks of JSON.
    shown: tuple[str, int]


GUNICORN = "gunicorn --workers 2 --threads 8"
SERVERS = [
    Server("flask", "python -m oxthreads -m flask run", "--port 0", ("flask", 0)),
    Server(
        "flask",
        f"python -m oxthreads -m {GUNICORN} app:app",
        "--preload --bind 127.0.0.1:0",
        ("flask", 1),
    ),
    Server("flask", f"OXTHREADS=1 {GUNICORN} app:app", "--bind 127.0.0.1:0", ("flask", 1)),
    Server("django", "python -m oxthreads manage.py runserver", "127.0.0.1:0", ("django", 0)),
    Server("django", f"OXTHREADS=1 {GUNICORN} shop.wsgi", "--bind 127.0.0.1:0", ("flask", 1)),
    Server("fastapi", "python -m oxthreads -m uvicorn app:app", "--port 0", ("fastapi", 0)),
    Server("fastapi", "OXTHREADS=1 uvicorn app:app", "--port 0", ("fastapi", 0)),
]

#: The file that the text of a page names for its program.
FILES = {"celery": "tasks.py", "django": "shop/views.py", "pytest": "test_transfer.py"}

WORKERS = [
    "python -m oxthreads -m celery -A tasks worker --pool threads --concurrency 4",
    "OXTHREADS=1 celery -A tasks worker --pool threads --concurrency 4",
]


def blocks(guide: str, language: str) -> list[str]:
    """The blocks of a page that are in a language, or, if it is empty, in none."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for name, content in found if name == language]


def command_of(guide: str, beginning: str) -> str:
    """The command of a page that begins like this, whole."""
    lines = [line for block in blocks(guide, "sh") for line in block.splitlines()]
    assert [line for line in lines if line.startswith(beginning)], lines
    return next(line for line in lines if line.startswith(beginning))


def without_numbers(text: str) -> str:
    """Which thread it was, and how long something took, differ each time."""
    return re.sub(r"\d+(\.\d+)?", "N", text)


def surroundings() -> dict[str, str]:
    """What a user's commands have, who has activated this environment."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OXTHREADS", "PYTEST"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
    return inherited | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def run(command: str, folder: Path, status: int = 0) -> str:
    """Run a command of a page to its end. Returns what it prints."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS * 3,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@contextlib.contextmanager
def running(command: str, folder: Path, ready: str) -> Iterator[re.Match[str]]:
    """A command of a page runs meanwhile. It is awaited until it prints what `ready` matches."""
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=folder,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + TIMEOUT_SECONDS * 2
        while (found := re.search(ready, log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        yield found
        assert "Traceback" not in log.read_text(), log.read_text()
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.wait(TIMEOUT_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def write_program(guide: str, folder: Path) -> None:
    """Write the program of a page to its file."""
    if guide == "django":
        run("django-admin startproject shop .", folder)
        (folder / "shop/urls.py").write_text(
            "from django.urls import path\nfrom . import views\nurlpatterns = [path('', views.index)]\n"
        )
    (program,) = blocks(guide, "py")
    (folder / FILES.get(guide, "app.py")).write_text(program)


def outputs(notebook: Any, cell: int) -> str:
    """What a cell has printed, and its value."""
    found = notebook.cells[cell].outputs
    return "".join(each.get("text") or each["data"]["text/plain"] for each in found)


@pytest.mark.parametrize("server", SERVERS, ids=[f"{each.guide}: {each.command}" for each in SERVERS])
def test_a_server_answers(server: Server, tmp_path: Path) -> None:
    write_program(server.guide, tmp_path)
    command = f"{command_of(server.guide, server.command)} {server.port}"
    with running(command, tmp_path, r"http://127\.0\.0\.1:[1-9]\d*") as address:

        def ask(_: int) -> Any:
            with urllib.request.urlopen(address[0], timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)

        with ThreadPoolExecutor(10) as clients:
            answers = list(clients.map(ask, range(40)))
    guide, number = server.shown
    shown = json.loads(blocks(guide, "json")[number])
    for answer in answers:
        assert without_numbers(answer.pop("thread")) == without_numbers(shown["thread"])
        assert answer == {"square": 49, "on oxthreads": True}
        assert shown | answer == shown


def test_the_tests_of_a_django_project(tmp_path: Path) -> None:
    write_program("django", tmp_path)
    (tmp_path / "shop/tests.py").write_text(
        "from django.test import SimpleTestCase\n\n"
        "class Index(SimpleTestCase):\n"
        "    def test_index(self):\n"
        "        self.assertIs(self.client.get('/').json()['on oxthreads'], True)\n"
    )
    printed = run(command_of("django", "python -m oxthreads manage.py test"), tmp_path)
    assert "Ran 1 test" in printed


@pytest.mark.parametrize("command", WORKERS)
def test_a_worker_of_celery_does_its_tasks(command: str, tmp_path: Path) -> None:
    write_program("celery", tmp_path)
    with running(f"{command_of('celery', command)} --loglevel info", tmp_path, r"celery@\S+ ready"):
        # Only how long it waits at most is changed.
        one = command_of("celery", "python -c ").replace("timeout=10", f"timeout={TIMEOUT_SECONDS}")
        (shown,) = [block for block in blocks("celery", "") if "square" in block]
        assert without_numbers(run(one, tmp_path)) == without_numbers(shown)
        many = one.replace(
            "print(square.delay(7).get(", "sent = [square.delay(n) for n in range(40)]; print(*(each.get("
        ).replace("))", ")['square'] for each in sent))")
        assert run(many, tmp_path).split() == [str(number**2) for number in range(40)]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the kernel that the page makes."""
    folder = tmp_path_factory.mktemp("kernels")
    command = command_of("jupyter", "python -m ipykernel install")
    assert "--sys-prefix" in command
    run(command.replace("--sys-prefix", f"--prefix {folder}"), folder)
    return folder / "share/jupyter"


@pytest.mark.parametrize("kernel", ["python3", "oxthreads"])
def test_a_notebook(kernel: str, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient  # noqa: PLC0415 - only the extra has it
    import nbformat  # noqa: PLC0415

    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("OXTHREADS")]:
        monkeypatch.delenv(name)
    patch, pool, which, profile = blocks("jupyter", "py")
    cells = [which, patch, pool, profile]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_SECONDS * 2, startup_timeout=TIMEOUT_SECONDS * 2, kernel_name=kernel
    )
    client.execute(cwd=str(tmp_path))
    assert outputs(notebook, 0) == str(kernel == "oxthreads")
    assert outputs(notebook, 2) == pool.rpartition("# ")[2]
    assert re.search(r"/ipykernel_\w+/\w+\.py:\d+ in work", outputs(notebook, 3))


def test_a_deadlock_in_pytest(tmp_path: Path) -> None:
    write_program("pytest", tmp_path)
    printed = run(command_of("pytest", "pytest -p oxthreads --oxthreads-watch"), tmp_path, status=1)
    (shown,) = blocks("pytest", "")

    def compared(line: str) -> str:
        # The locks have several names: those of the two functions that have them.
        return re.sub(r"Lock \w+$", "Lock", without_numbers(line)).strip("= ")

    known = {compared(line) for line in printed.splitlines()}
    assert [line for line in shown.splitlines() if line and compared(line) not in known] == []
