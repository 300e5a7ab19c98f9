"""The benchmark suite, as ``oxthreads bench`` runs it: README.md beside this file tells what is in it.

python benches/suite.py [NAMES...] [options]
"""

import sys

from oxthreads.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
