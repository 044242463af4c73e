"""Old names of attributes, which work and warn until version 0.3."""

import warnings


class OldAttribute:
    """An attribute that warns and then is another one.

    Args:
        new: The attribute that is read in its place.
        setter: The method that is called with what is assigned to it; None forbids to assign.

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
        self.message = (
            f"{owner.__name__}.{name} is now {self.setter or self.new}; the old name is removed in version 0.3."
        )

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
