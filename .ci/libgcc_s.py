"""Makes a stand-in for GCC's libgcc_s.so.1, to link against for any processor.

In a usual build for Linux with glibc, the functions of libgcc_s.so.1 unwind the stack, for Rust and for
`pthread_exit`. zig links those of LLVM into the extension instead. They cannot read what the others hand to
a Rust frame: before Python 3.14 (3.13.8), a daemon thread that is ended with the interpreter crashes it.

So the extension is linked against this file, which has the names, and no code. At run time the system's own
libgcc_s.so.1 is loaded. Every system with glibc has it, since `pthread_exit` needs it, too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What of it Rust's standard library calls, by the version of GCC since which it is there.
FUNCTIONS = {
    "GCC_3.0": [
        "_Unwind_DeleteException",
        "_Unwind_GetDataRelBase",
        "_Unwind_GetIP",
        "_Unwind_GetLanguageSpecificData",
        "_Unwind_GetRegionStart",
        "_Unwind_GetTextRelBase",
        "_Unwind_RaiseException",
        "_Unwind_Resume",
        "_Unwind_SetGR",
        "_Unwind_SetIP",
    ],
    "GCC_3.3": [
        "_Unwind_Backtrace",
        "_Unwind_FindEnclosingFunction",
        "_Unwind_GetCFA",
        "_Unwind_Resume_or_Rethrow",
    ],
    "GCC_4.2.0": ["_Unwind_GetIPInfo"],
}


def make(architecture: str, folder: Path) -> Path:
    """Make it for a processor (``x86_64``, ``aarch64``), with zig, and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "libgcc_s.c"
    names = [name for functions in FUNCTIONS.values() for name in functions]
    source.write_text("".join(f"void {name}(void) {{}}\n" for name in names))
    versions = folder / "libgcc_s.map"
    versions.write_text(
        "".join(f"{node} {{ global: {'; '.join(names)}; }};\n" for node, names in FUNCTIONS.items())
    )
    library = folder / "libgcc_s.so.1"
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        f"{architecture}-linux-gnu",
        "-shared",
        "-nostdlib",
    ]
    command += [
        f"-Wl,--version-script={versions}",
        "-Wl,-soname,libgcc_s.so.1",
        str(source),
        "-o",
        str(library),
    ]
    subprocess.run(command, check=True)
    return library
