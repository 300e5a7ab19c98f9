"""`.ci/check-wheels` accepts what `.ci/wheels` builds, and refuses each thing that can be wrong with it.

They take a wheel and a source distribution from dist/, and what checks them: `just wheels`, and
`pip install -r .ci/wheel-tools.txt`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

pytest.importorskip("auditwheel")
pytest.importorskip("twine")

ROOT = Path(__file__).resolve().parent
while not (ROOT / "Cargo.toml").exists():
    ROOT = ROOT.parent

Contents = dict[str, bytes]
CARGO = os.environ.get("CARGO_HOME", f"{Path.home()}/.cargo")
PATH_OF_A_BUILDER = (
    b"/home/somebody/.cargo/registry/src/index.example.org-1949cf8c6b5b557f/libc-0.2.191/src/lib.rs\0"
)


def one_of(pattern: str) -> Path:
    found = sorted((ROOT / "dist").glob(pattern))
    if not found:
        pytest.skip(f"dist/ has no {pattern}: just wheels")
    return found[0]


@pytest.fixture(scope="module")
def wheel() -> Path:
    return one_of("oxthreads-*-manylinux*_x86_64.whl")


@pytest.fixture(scope="module")
def sdist() -> Path:
    return one_of("oxthreads-*.tar.gz")


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "check-wheels", *files],
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT_SECONDS,
        check=False,
    )


def refused(file: Path, why: str) -> None:
    """It is refused, for this reason, and not by an error in the check."""
    checked = check(file)
    assert checked.returncode == 1, checked
    assert not checked.stderr, checked.stderr
    assert re.search(why, checked.stdout), checked.stdout


def contents_of(wheel: Path) -> Contents:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def find(contents: Contents, end: str) -> str:
    (found,) = (name for name in contents if name.endswith(end))
    return found


def write(file: Path, contents: Contents, *, right_record: bool = True) -> Path:
    if right_record:
        record = find(contents, ".dist-info/RECORD")
        lines = []
        for name, content in contents.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{record},," if name == record else f"{name},sha256={digest},{len(content)}")
        contents[record] = "\n".join([*lines, ""]).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file


def replace(end: str, old: bytes, new: bytes) -> Callable[[Contents], None]:
    def change(contents: Contents) -> None:
        name = find(contents, end)
        assert old in contents[name]
        contents[name] = contents[name].replace(old, new)

    return change


def append(end: str, new: bytes) -> Callable[[Contents], None]:
    def change(contents: Contents) -> None:
        contents[find(contents, end)] += new

    return change


def without(end: str) -> Callable[[Contents], None]:
    return lambda contents: [contents.pop(find(contents, end))].clear()


def with_another(name: str) -> Callable[[Contents], None]:
    return lambda contents: contents.update({name: b""})


def test_what_was_built_is_right(wheel: Path, sdist: Path) -> None:
    checked = check(wheel, sdist)
    assert checked.returncode == 0, checked
    assert re.fullmatch(r"(right .*\.whl)\n(right .*\.tar\.gz)\n", checked.stdout)


def test_a_copy_of_what_was_built_is_right(wheel: Path, tmp_path: Path) -> None:
    """So that the copies below are refused for what was changed in them, and nothing else."""
    assert check(write(tmp_path / wheel.name, contents_of(wheel))).returncode == 0


WRONG: dict[str, tuple[Callable[[Contents], None], str]] = {
    "a path in the extension": (append(".so", PATH_OF_A_BUILDER), "path of the machine that built it"),
    "the crates' folder in a text": (append("/py.typed", f"{CARGO}/x".encode()), "path of this machine"),
    "the clone in a text": (append("/py.typed", f"{ROOT}/x".encode()), "path of this machine"),
    "symbols for debuggers": (replace(".so", b".comment\0", b".debug_a\0"), "not stripped: it has .debug_a"),
    "a newer C library": (replace(".so", b"GLIBC_2.17\0", b"GLIBC_2.36\0"), "auditwheel: "),
    "an unwinder of its own": (
        replace(".so", b"libgcc_s.so.1\0", b"libanl.so.1\0\0\0"),
        "does not use libgcc_s.so.1",
    ),
    "too large": (append(".so", os.urandom(2 << 20)), "KiB, and [0-9]+ are allowed"),
    "no extension": (without(".so"), r"the compiled files in it are \[\]"),
    "a text as the extension": (
        lambda contents: contents.update({find(contents, ".so"): b"text"}),
        "no compiled file",
    ),
    "a second library": (with_another("oxthreads/libpython3.13.so"), "not the extension alone"),
    "no licence MIT": (without("/LICENSE-MIT"), "LICENSE-MIT is missing"),
    "no licence Apache": (without("/LICENSE-APACHE"), "LICENSE-APACHE is missing"),
    "no licences of others": (without("/LICENSE-THIRD-PARTY"), "LICENSE-THIRD-PARTY is missing"),
    "no py.typed": (without("/py.typed"), "py.typed is missing"),
    "no types of the extension": (without("/_oxthreads.pyi"), "_oxthreads.pyi is missing"),
    "no start-up file": (without("/oxthreads_startup.pth"), "oxthreads_startup.pth is missing"),
    "a file of no use": (with_another("oxthreads/__pycache__/queue.cpython-313.pyc"), "should not be in it"),
    "no command": (replace("/entry_points.txt", b"oxthreads=", b"oxthread="), "no command oxthreads"),
    "a dependency": (
        replace("/METADATA", b"\nProvides-Extra: test\n", b"\nProvides-Extra: test\nRequires-Dist: six\n"),
        "depends on six",
    ),
    "an older Python": (
        replace("/METADATA", b"Requires-Python: >=3.11", b"Requires-Python: >=3.8"),
        "Requires-Python",
    ),
    "another version": (replace("/METADATA", b"\nVersion: ", b"\nVersion: 1"), "Version in the metadata"),
    "no extra": (replace("/METADATA", b"\nProvides-Extra: test\n", b"\n"), "Provides-Extra"),
    "a description that is not Markdown": (replace("/METADATA", b"text/markdown", b"text/x-rst"), "twine: "),
    "for every platform": (
        replace("/WHEEL", b"Root-Is-Purelib: false", b"Root-Is-Purelib: true"),
        "for every platform",
    ),
    "tags that are not those of the name": (
        replace("/WHEEL", b"manylinux_2_17", b"manylinux_2_28"),
        "WHEEL has the tags",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wheel_is_refused(what: str, wheel: Path, tmp_path: Path) -> None:
    change, why = WRONG[what]
    contents = contents_of(wheel)
    change(contents)
    refused(write(tmp_path / wheel.name, contents), why)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (r"manylinux2014_x86_64\.manylinux_2_17_x86_64", "musllinux_1_2_x86_64", "auditwheel: "),
        (
            r"manylinux2014_x86_64\.manylinux_2_17_x86_64",
            "musllinux_1_2_x86_64",
            "where such an interpreter looks for",
        ),
        (r"_x86_64", "_aarch64", "the extension is for linux on x86_64"),
        (r"manylinux2014_x86_64\.manylinux_2_17_x86_64", "win_amd64", "the extension is for linux on x86_64"),
        (r"manylinux2014_x86_64\.manylinux_2_17_x86_64", "linux_x86_64", "no wheels for .'linux_x86_64'"),
        (r"-cp3\d+-cp3\d+t?-", "-cp310-cp310-", "where such an interpreter looks for _oxthreads.cpython-310"),
        (r"-cp3\d+-cp3\d+t?-", "-cp311-abi3-", "for no version of CPython"),
        (r"-cp3\d+-cp3\d+t?-", "-py3-none-", "for no version of CPython"),
    ],
)
def test_a_wheel_with_the_tags_of_another_is_refused(
    old: str, new: str, why: str, wheel: Path, tmp_path: Path
) -> None:
    name = re.sub(old, new, wheel.name)
    assert name != wheel.name
    contents = contents_of(wheel)
    header = find(contents, "/WHEEL")
    interpreter, abi, platforms = name.removesuffix(".whl").split("-")[2:]
    tags = "".join(f"Tag: {interpreter}-{abi}-{platform}\n" for platform in platforms.split("."))
    contents[header] = re.sub(rb"(Tag: .*\n)+", tags.encode(), contents[header])
    refused(write(tmp_path / name, contents), why)


def test_a_file_that_is_not_what_the_record_says_is_refused(wheel: Path, tmp_path: Path) -> None:
    contents = contents_of(wheel)
    contents["oxthreads/queue.py"] += b"\n"
    refused(
        write(tmp_path / wheel.name, contents, right_record=False),
        "oxthreads/queue.py is not what RECORD says",
    )


def test_a_record_that_lacks_a_file_is_refused(wheel: Path, tmp_path: Path) -> None:
    contents = contents_of(wheel)
    record = find(contents, ".dist-info/RECORD")
    contents[record] = re.sub(rb"oxthreads/queue.py,.*\n", b"", contents[record])
    refused(
        write(tmp_path / wheel.name, contents, right_record=False),
        "queue.py is in the wheel, but not in RECORD",
    )


def test_half_a_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    content = wheel.read_bytes()
    (tmp_path / wheel.name).write_bytes(content[: len(content) // 2])
    refused(tmp_path / wheel.name, "cannot be read")


def test_what_is_neither_a_wheel_nor_a_source_distribution_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    refused(tmp_path / "notes.txt", "cannot be read")


def test_one_wrong_file_among_right_ones_is_enough(wheel: Path, tmp_path: Path) -> None:
    contents = contents_of(wheel)
    without("/LICENSE-MIT")(contents)
    broken = write(tmp_path / wheel.name, contents)
    checked = check(wheel, broken, wheel)
    assert checked.returncode == 1
    assert [line.split()[0] for line in checked.stdout.splitlines() if ".whl" in line] == [
        "right",
        "wrong",
        "right",
    ]


def rewritten(
    sdist: Path, folder: Path, change: Callable[[str, bytes], bytes | None], extra: Contents
) -> Path:
    """The source distribution with files changed, left out where `change` returns None, or added."""
    with tarfile.open(sdist) as before, tarfile.open(folder / sdist.name, "w:gz") as after:
        contents = {member.name: file.read() for member in before if (file := before.extractfile(member))}
        top = sdist.name.removesuffix(".tar.gz")
        for name, content in (
            contents | {f"{top}/{name}": content for name, content in extra.items()}
        ).items():
            changed = change(name.removeprefix(f"{top}/"), content)
            if changed is not None:
                member = tarfile.TarInfo(name)
                member.size = len(changed)
                after.addfile(member, io.BytesIO(changed))
    return folder / sdist.name


@pytest.mark.parametrize(
    "missing", ["LICENSE-MIT", "LICENSE-THIRD-PARTY", "Cargo.lock", "src/lib.rs", "python/oxthreads/py.typed"]
)
def test_a_source_distribution_that_lacks_a_file_is_refused(
    missing: str, sdist: Path, tmp_path: Path
) -> None:
    def change(name: str, content: bytes) -> bytes | None:
        return None if name == missing else content

    refused(rewritten(sdist, tmp_path, change, {}), f"{missing} is missing")


def test_a_source_distribution_with_a_file_that_is_not_in_git_is_refused(sdist: Path, tmp_path: Path) -> None:
    refused(
        rewritten(sdist, tmp_path, lambda _, content: content, {"notes.txt": b""}), "notes.txt is not in git"
    )


def test_a_source_distribution_with_a_path_of_this_machine_is_refused(sdist: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes | None:
        return content + f"# {ROOT}/x\n".encode() if name == "pyproject.toml" else content

    refused(rewritten(sdist, tmp_path, change, {}), "pyproject.toml has a path of this machine inside")


def test_a_source_distribution_of_another_version_is_refused(sdist: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes | None:
        return content.replace(b"\nVersion: ", b"\nVersion: 1") if name == "PKG-INFO" else content

    refused(rewritten(sdist, tmp_path, change, {}), "Version in the metadata")


def test_the_licences_of_all_crates_that_are_linked_in_are_there() -> None:
    checked = subprocess.run(
        [ROOT / ".ci" / "third-party-licenses", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
