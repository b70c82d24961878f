"""Runs tfadvseg from a checkout without installing it: `python cli.py fit ...`."""

import sys

from tfadvseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
