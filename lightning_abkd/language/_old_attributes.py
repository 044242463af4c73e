"""Old names of attributes, which work and warn until version 0.3."""

import warnings

from lightning_abkd._utils import renamed_message


class OldAttribute:
    """An attribute that warns and then returns another one.

    Args:
        new: The attribute that is read in its place.
        setter: The method that is called with an assigned value; None makes assignment an error.

    Example:
        >>> class Module:
        ...     special_ids = 3
        ...     special = OldAttribute("special_ids")
        >>> with warnings.catch_warnings(action="ignore"):
        ...     Module().special
        3
    """

    def __init__(self, new: str, setter: str | None = None) -> None:
        self.new = new
        self.setter = setter

    def __set_name__(self, owner: type, name: str) -> None:
        self.message = renamed_message(f"{owner.__name__}.{name}", self.setter or self.new)

    def __get__(self, instance: object, owner: type | None = None) -> object:
        if instance is None:
            return self
        warnings.warn(self.message, DeprecationWarning, stacklevel=2)
        return getattr(instance, self.new)

    def __set__(self, instance: object, value: object) -> None:
        if self.setter is None:
            raise AttributeError(self.message)
        warnings.warn(self.message, DeprecationWarning, stacklevel=3)
        getattr(instance, self.setter)(value)
