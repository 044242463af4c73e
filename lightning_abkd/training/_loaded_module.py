"""Modules that are built from a checkpoint, be it a file or a folder of shards."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

import torch

from lightning_abkd.training._checkpoint_files import is_sharded_checkpoint, named_errors, without_weights
from lightning_abkd.training._checkpoint_io import local_path
from lightning_abkd.training._lightning import HostBatches
from lightning_abkd.training._shards import read_shards

Device = torch.device | str | int
MapLocation = Device | dict[Device, Device] | Callable[[torch.UntypedStorage, str], torch.UntypedStorage | None]


class LoadedModule(HostBatches):
    """Mixin whose `load_from_checkpoint` takes folders of shards too, and says in one sentence what it cannot read."""

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: MapLocation | None = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **options: Any,
    ) -> Self:
        """Build a module from a checkpoint; the arguments are those of Lightning.

        Raises:
            ValueError: If it cannot be read, or is no checkpoint of a training; the error names one that is.
            FileNotFoundError: If there is none.
        """
        source = _readable(checkpoint_path, weights_only)
        return super().load_from_checkpoint(source, map_location, hparams_file, strict, weights_only, **options)


def _readable(source: str | Path | IO[bytes], weights_only: bool | None) -> str | Path | IO[bytes]:
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
