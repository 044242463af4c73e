"""Optional packages, imported where they are used."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str, package: str | None = None) -> ModuleType:
    """Import a module of an optional package; the error for a missing one names the extra that installs it.

    Args:
        module: Full name of the module, such as "matplotlib.pyplot".
        extra: Extra of this package that installs it.
        purpose: What needs it; the start of the message, such as "ROUGE" or "A picture".
        package: Name on the package index; None takes the first part of `module`.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: If the package is not installed.

    Example:
        >>> require("json", "language", "Reading records").loads("[1]")
        [1]
    """
    top = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise ModuleNotFoundError(
            f"{purpose} needs {package or top}: pip install 'lightning-abkd[{extra}]'.", name=error.name
        ) from error
