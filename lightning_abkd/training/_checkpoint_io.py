"""How checkpoints are written: whole or not at all."""

from pathlib import Path

from lightning.fabric.plugins import TorchCheckpointIO

from lightning_abkd.training._whole_files import save_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint into a file beside the former one, which it replaces when all of it is on the disk.

    Lightning writes into the folder for temporary files first, and where that is on another disk it copies over the
    former checkpoint, which is lost if the new one does not fit. Modules of this package and the command `abkd` take
    this class in the place of Lightning's own; another plugin stays.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.ckpt")
        >>> AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
        >>> AtomicCheckpointIO().load_checkpoint(path)
        {'epoch': 1}
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
        save_whole(checkpoint, local)


def local_path(path: str | Path) -> Path | None:
    """Return the path of a file on this machine, None for one elsewhere, such as s3://…."""
    place = str(path).removeprefix("file://")
    return None if "://" in place else Path(place)
