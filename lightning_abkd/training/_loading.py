"""Modules and data modules that are built by what a checkpoint says of them."""

from collections.abc import Callable
from typing import Self

from lightning_abkd.training._calls import other_calls_refused
from lightning_abkd.training._lightning import CheckpointPath, restricted_classmethod


class LoadedSafely:
    """Mixin for what is built as its checkpoint says, a module or a data module: it may call only what a config may."""

    @restricted_classmethod
    def load_from_checkpoint(cls, checkpoint_path: CheckpointPath, *arguments: object, **options: object) -> Self:
        """Build the object from a checkpoint, as Lightning does; arguments by name replace those that were saved.

        A checkpoint of a command line describes the objects it was built from, as a config does. What is no object of
        the class that is asked for is not called, whoever wrote it there.
        """
        load: Callable[..., Self] = getattr(super(), "load_from_checkpoint")  # noqa: B009
        with other_calls_refused():
            return load(checkpoint_path, *arguments, **options)
