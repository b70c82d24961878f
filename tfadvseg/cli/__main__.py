"""`python -m tfadvseg.cli`."""

from tfadvseg.cli import main

main()
