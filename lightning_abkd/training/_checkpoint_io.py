"""How checkpoints are written, whole or not at all, and read, with one sentence where that is impossible."""

from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_abkd.training._checkpoint_files import is_sharded_checkpoint, named_errors
from lightning_abkd.training._shards import read_shards
from lightning_abkd.training._whole_files import save_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint into a file beside the former one, which it replaces when all of it is on the disk.

    Lightning writes into the folder for temporary files first, and where that is on another disk it copies over the
    former checkpoint, which is lost if the new one does not fit. Modules of this package and the command `abkd` take
    this class in the place of Lightning's own; another plugin stays.

    It reads files and folders of shards. The error for what it cannot read names the newest checkpoint that it can.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.ckpt")
        >>> AtomicCheckpointIO().save_checkpoint({"epoch": 1, "pytorch-lightning_version": "2.6"}, path)
        >>> AtomicCheckpointIO().load_checkpoint(path)["epoch"]
        1
    """

    def save_checkpoint(
        self, checkpoint: dict[str, object], path: str | Path, storage_options: object | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If the disk is full; it says how much is needed. The former checkpoint stays as it was.
        """
        local = local_path(path)
        if local is None or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        save_whole(checkpoint, local, over_folder=is_sharded_checkpoint(local))

    def load_checkpoint(
        self, path: str | Path, map_location: object = "cpu", weights_only: bool | None = None
    ) -> dict[str, object]:
        """Read a checkpoint.

        Raises:
            ValueError: If it cannot be read, or is no checkpoint of a training.
            FileNotFoundError: If there is none.
        """
        local = local_path(path)
        if local is None:
            remote: dict[str, object] = super().load_checkpoint(path, weights_only=weights_only)
            return remote
        if is_sharded_checkpoint(local):
            return named_errors(local, lambda: read_shards(local))
        return named_errors(local, lambda: _read(local, weights_only))


def _read(path: Path, weights_only: bool | None) -> dict[str, object]:
    content: dict[str, object] = torch.load(path, map_location="cpu", weights_only=weights_only)
    return content


def local_path(path: str | Path) -> Path | None:
    """Return the path of a file on this machine, None for one elsewhere, such as s3://…."""
    place = str(path).removeprefix("file://")
    return None if "://" in place else Path(place)
