"""The command line as one run of a sweep: the same, but it ends when the sweep does.

The sweep holds the other end of the standard input and never writes to it. However the sweep ends,
the pipe closes with it; what the run has saved is whole at any moment.
"""

import os
import threading

from tfadvseg.cli import main


def _end_with_the_sweep() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    main()
