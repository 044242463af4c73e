"""The private files that the catalogues consisted of in version 0.1: programs and pickles still name them."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from lightning_abkd._utils._lazy import renamed_message


class OldFiles(MetaPathFinder, Loader):
    """Finds any private file of a catalogue, such as `lightning_abkd.data._records`, as a door to the catalogue.

    A catalogue has no files today, so that each such path is an old one.

    Args:
        catalogues: Full names of the modules.
    """

    def __init__(self, catalogues: Sequence[str]) -> None:
        self.catalogues = frozenset(catalogues)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a private file of a catalogue, None for any other module."""
        parent, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if parent in self.catalogues and name.startswith("_") else None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module forward public names to its catalogue, with a DeprecationWarning."""
        catalogue = module.__name__.rpartition(".")[0]

        def __getattr__(name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            value: object = getattr(importlib.import_module(catalogue), name)
            message = renamed_message(f"{module.__name__}.{name}", f"{catalogue}.{name}")
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return value

        vars(module)["__getattr__"] = __getattr__


def forward_old_files(catalogues: Sequence[str]) -> None:
    """Make the private files of catalogues importable.

    Args:
        catalogues: Full names of the modules, which are no packages; `export_lazily` gives them a `__path__`.
    """
    sys.meta_path.append(OldFiles(catalogues))
