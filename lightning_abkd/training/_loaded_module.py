"""Modules that are built from a checkpoint, be it a file or a folder of shards."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch

from lightning_abkd.training._checkpoint_files import is_sharded_checkpoint, named_errors, without_weights
from lightning_abkd.training._checkpoint_io import local_path
from lightning_abkd.training._lightning import CheckpointPath, HostBatches, restricted_classmethod
from lightning_abkd.training._shards import read_shards

# Position of `weights_only` among the arguments of Lightning that follow the checkpoint.
_WEIGHTS_ONLY = 3


class LoadedModule(HostBatches):
    """Mixin whose `load_from_checkpoint` takes folders of shards too, and says in one sentence what it cannot read."""

    @restricted_classmethod
    def load_from_checkpoint(cls, checkpoint_path: CheckpointPath, *arguments: object, **options: object) -> Self:
        """Build a module from a checkpoint; the arguments are those of Lightning.

        Raises:
            ValueError: If it cannot be read, or is no checkpoint of a training; the error names one that is.
            FileNotFoundError: If there is none.
        """
        weights_only = arguments[_WEIGHTS_ONLY] if len(arguments) > _WEIGHTS_ONLY else options.get("weights_only")
        load: Callable[..., Self] = super().load_from_checkpoint
        return load(_readable(checkpoint_path, weights_only), *arguments, **options)


def _readable(source: CheckpointPath, weights_only: object) -> CheckpointPath:
    """Return what Lightning can read; the whole of a folder of shards."""
    local = local_path(source) if isinstance(source, str | Path) else None
    if local is None:
        return source
    if is_sharded_checkpoint(local):
        whole = io.BytesIO()
        torch.save(named_errors(local, lambda: read_shards(local)), whole)
        whole.seek(0)
        return whole
    if weights_only is not False:
        without_weights(local)
    return source
