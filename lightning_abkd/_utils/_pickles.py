"""What a pickle needs that torch refuses to unpickle."""

import re

# What torch says of a class or function, allowed by nobody or in a module that is blocked.
_NEEDED = re.compile(r"unsupported (?:global|class):? (?:GLOBAL )?(?:<class ')?([\w.]+)", re.IGNORECASE)


def needed_code(error: BaseException) -> str | None:
    """Return the class or function that a file needs beside tensors and plain containers, or None for another error.

    Example:
        >>> needed_code(ValueError("Trying to load unsupported GLOBAL posix.system whose module posix is blocked."))
        'posix.system'
    """
    found = _NEEDED.search(str(error))
    return found[1].rstrip(".") if found else None
