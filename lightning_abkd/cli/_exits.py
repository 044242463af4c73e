"""With which code the command leaves when it is interrupted."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells count."""


@contextmanager
def interrupts() -> Iterator[None]:
    """Leave with 130 after Ctrl-C, also where Lightning leaves with 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("abkd: Interrupted.\n")
        raise SystemExit(INTERRUPTED) from None
    except SystemExit as stop:
        if stop.code == 1 and isinstance(stop.__context__, KeyboardInterrupt):
            stop.code = INTERRUPTED
        raise
