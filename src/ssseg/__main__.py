"""`python -m ssseg`."""

import sys

from ssseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
