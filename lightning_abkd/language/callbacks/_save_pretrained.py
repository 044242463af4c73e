"""The student in the format of transformers, when training has ended."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_abkd._utils import check_choice, write_files_whole
from lightning_abkd.language.models import merge_adapters
from lightning_abkd.training import is_sharded, load_weights, own_state, unwrap, whole_state

Which = Literal["last", "best"]


@runtime_checkable
class _Pretrained(Protocol):
    def save_pretrained(self, folder: str, **options: bool) -> object: ...


class SavePretrained(Callback):
    """Writes the student and its tokenizer into a folder that transformers loads without this library.

    Rank zero writes when a fit has ended. A fit that was interrupted or failed writes nothing, so that the folder only
    holds students trained to the end. A `fast_dev_run` writes nothing either. The tokenizer is the `tokenizer` of the
    data module, if there is one. The training weights are not changed. A compiled student is written by its own names.

    Args:
        folder: Where to write; it is created. `AutoModelForCausalLM.from_pretrained(folder)` reads it.
        merge_adapters: Add adapters to the weights; if False, only the adapters are written, for
            `lightning_abkd.models.lora(network, path=folder)`. Without adapters it changes nothing.
        checkpoint: "last" takes the weights at the end, "best" those of the first ModelCheckpoint that has a best file.
            Where none has one, the last weights are taken, and the log says so.

    Raises:
        ValueError: If `checkpoint` is neither "last" nor "best".
        TypeError: At the start of a fit, if the module has no `student` with `save_pretrained`.

    Example:
        >>> SavePretrained("models/student", checkpoint="best").folder
        'models/student'
    """

    def __init__(self, folder: str, merge_adapters: bool = True, checkpoint: Which = "last") -> None:
        check_choice("checkpoint", checkpoint, get_args(Which))
        self.folder = folder
        self.merge_adapters = merge_adapters
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check before training that the student can be written."""
        student = getattr(pl_module, "student", None)
        student = unwrap(student) if isinstance(student, nn.Module) else student
        if stage == "fit" and not isinstance(student, _Pretrained):
            raise TypeError(
                f"SavePretrained should find a network of transformers as `student` of {type(pl_module).__name__}. "
                f"Found {type(student).__name__}, which has no `save_pretrained`. Use a ModelCheckpoint for it."
            )
        copied = self.checkpoint == "best" or (self.merge_adapters and hasattr(student, "merge_and_unload"))
        if stage == "fit" and copied and isinstance(trainer.strategy, ModelParallelStrategy):
            raise ValueError(
                "SavePretrained changes a copy of the student, which is impossible where its weights lie in pieces. "
                f"Found ModelParallelStrategy with `checkpoint = {self.checkpoint!r}` and `merge_adapters = "
                f"{self.merge_adapters}`. Set `checkpoint: last` and `merge_adapters: false`, or take ddp."
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the student and the tokenizer."""
        student: nn.Module = getattr(pl_module, "student")  # noqa: B009  (a Module's attributes are typed as tensors)
        if getattr(trainer, "fast_dev_run", False):
            return
        # Every rank gives its pieces.
        pieces = whole_state(student) if is_sharded(student) else None
        if not trainer.is_global_zero:
            return
        tokenizer = getattr(getattr(trainer, "datamodule", None), "tokenizer", None)
        with write_files_whole(Path(self.folder)) as folder:
            self._save_student(student, self._best_path(trainer), pieces, folder)
            if isinstance(tokenizer, _Pretrained):
                tokenizer.save_pretrained(str(folder))
            written = {file.name for file in folder.iterdir()}
        _remove_former_weights(Path(self.folder), written)
        rank_zero_info(f"Wrote the student to {Path(self.folder).resolve()}.")

    def _save_student(
        self, student: nn.Module, best_path: str | None, pieces: dict[str, Tensor] | None, folder: Path
    ) -> None:
        """Write the student with the weights of a checkpoint, or with those that it has; it is not changed."""
        student = self._prepared(unwrap(student), best_path)
        options: dict[str, object] = {} if pieces is None else {"state_dict": pieces}
        if hasattr(student, "merge_and_unload"):
            # The base is frozen, embeddings too; without this option peft asks the hub whether they were changed.
            options["save_embedding_layers"] = False
        elif pieces is None and own_state(student).keys() != student.state_dict().keys():
            # Compiled parts would leave their mark on the names.
            options["state_dict"] = own_state(student)
        save: Callable[..., object] = getattr(student, "save_pretrained")  # noqa: B009
        save(str(folder), **options)

    def _prepared(self, student: nn.Module, best_path: str | None) -> nn.Module:
        """Return the student, or a copy of it with the best weights or with its adapters merged."""
        is_merged = self.merge_adapters and hasattr(student, "merge_and_unload")
        if best_path is not None or is_merged:
            student = copy.deepcopy(student)
        if best_path is not None:
            load_weights(student, best_path, "student.")
        return merge_adapters(student) if is_merged else student

    def _best_path(self, trainer: Trainer) -> str | None:
        """Return the path of the best checkpoint, or None where the last weights are to be taken."""
        if self.checkpoint == "last":
            return None
        paths = [each.best_model_path for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        path = next(filter(None, paths), None)
        if path is None:
            rank_zero_info("SavePretrained found no best checkpoint and takes the last weights.")
        return path


def _remove_former_weights(folder: Path, written: set[str]) -> None:
    """Remove the weights of a student that was in the folder before, which had other shards."""
    for former in folder.glob("model*.safetensors*"):
        if former.name not in written:
            former.unlink()
