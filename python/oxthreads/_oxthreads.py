"""Stands in for the compiled extension where there is none for this interpreter, and says so.

Python prefers an extension to a file like this one, but only an extension whose name has the version and
the platform of the running interpreter. So this is run if none is there, as in a clone where nothing was
built, or if it is another's: a wheel was unpacked by hand, or a folder was copied to another machine.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def _explain() -> ImportError:
    version = (
        f"{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags if hasattr(sys, 'abiflags') else ''}"
    )
    wanted = f"_oxthreads{sysconfig.get_config_var('EXT_SUFFIX')}"
    package = Path(__file__).parent
    others = sorted(path.name for path in package.glob("_oxthreads.*") if path.suffix in (".so", ".pyd"))
    found = f"is {' and '.join(others)}, which is for another one" if others else "is none"
    return ImportError(
        f"oxthreads has no compiled extension for CPython {version} on {sysconfig.get_platform()}: "
        f"that would be {wanted}, and in {package} there {found}. Install oxthreads with this interpreter: "
        f"{sys.executable} -m pip install --force-reinstall oxthreads",
        name=__name__,
        path=__file__,
    )


raise _explain()
