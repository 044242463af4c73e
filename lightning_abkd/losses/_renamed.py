"""Old names of methods, which work and warn until version 0.3."""

import warnings
from collections.abc import Mapping
from typing import Protocol

from lightning_abkd._utils import renamed_message


class _Attribute(Protocol):
    """A method or a property, as it is stored in its class."""

    def __get__(self, instance: object, owner: type | None = None) -> object: ...


class _OldName:
    """An attribute that warns and then returns another one."""

    def __init__(self, attribute: _Attribute, message: str) -> None:
        self.attribute = attribute
        self.message = message

    def __get__(self, instance: object, owner: type | None = None) -> object:
        warnings.warn(self.message, DeprecationWarning, stacklevel=2)
        return self.attribute.__get__(instance, owner)


def forward_old_methods(owner: type, renamed: Mapping[str, str]) -> None:
    """Forward old names of a class's methods and properties to the new ones, with a DeprecationWarning.

    Call it once the class exists and, in `__init_subclass__`, for each of its subclasses. Creating a class that
    overrides an old name warns, and the override then has the new name too. Each class forwards to its own methods, so
    that `super()` works with old names too.

    Args:
        owner: A class.
        renamed: New names by the old ones.
    """
    for old, new in renamed.items():
        # A class beside it may define the old name: a mixin, which is no subclass.
        definer = next((base for base in owner.__mro__ if {old, new} & vars(base).keys()), owner)
        defined = dict(vars(definer))
        message = renamed_message(f"{owner.__name__}.{old}", new)
        if old in defined and (definer is owner or new not in defined):
            warnings.warn(message, DeprecationWarning, stacklevel=3)
            setattr(owner, new, defined[old])
        elif definer is owner and new in defined:
            setattr(owner, old, _OldName(defined[new], message))
