"""`python -m bandscope`, for launchers that start modules."""

import sys

from bandscope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
