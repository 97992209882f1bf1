"""`python -m ssseg`."""

import sys

from ssseg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
