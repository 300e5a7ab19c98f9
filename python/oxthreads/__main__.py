"""``python -m oxthreads``: see :mod:`oxthreads.runner`."""

import sys

from oxthreads.runner import main

if __name__ == "__main__":
    main(sys.argv[1:])
