"""The student in the format of transformers, when training has ended."""

import copy
from pathlib import Path
from typing import Literal, Protocol

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from lightning_abkd.language.models import merge_adapters
from lightning_abkd.training import load_weights


class _Pretrained(Protocol):
    def save_pretrained(self, folder: str, **options: bool) -> object: ...


class SavePretrained(Callback):
    """Writes the student and its tokenizer into a folder that transformers loads without this library.

    It happens on rank zero when a fit has ended; one that was interrupted or failed writes nothing, so that what is in
    the folder has been trained to the end, and neither does `fast_dev_run`. The tokenizer is the `tokenizer` of the
    datamodule, if there is one. The training weights are not changed.

    Args:
        folder: Where to write; it is created. `AutoModelForCausalLM.from_pretrained(folder)` reads it.
        merge_adapters: Add adapters to the weights; otherwise they alone are written, for
            `lightning_abkd.models.lora(network, path=folder)`. Without adapters it changes nothing.
        checkpoint: "last" takes the weights at the end, "best" those of the first ModelCheckpoint that has a best file;
            where none has it takes the last and says so.

    Raises:
        ValueError: If `checkpoint` is neither "last" nor "best".
        TypeError: At the start of a fit, if the module has no `student` with `save_pretrained`.

    Example:
        >>> SavePretrained("models/student", checkpoint="best").folder
        'models/student'
    """

    def __init__(self, folder: str, merge_adapters: bool = True, checkpoint: Literal["last", "best"] = "last") -> None:
        if checkpoint not in ("last", "best"):
            raise ValueError(f"Parameter `checkpoint` should be 'last' or 'best'. Found `checkpoint = {checkpoint!r}`.")
        self.folder, self.merge_adapters, self.checkpoint = folder, merge_adapters, checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the student can be written before training starts."""
        student = getattr(pl_module, "student", None)
        if stage == "fit" and not hasattr(student, "save_pretrained"):
            raise TypeError(
                f"SavePretrained should find a network of transformers as `student` of {type(pl_module).__name__}. "
                f"Found {type(student).__name__}, which has no `save_pretrained`. Use a ModelCheckpoint for it."
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the student and the tokenizer."""
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        student: nn.Module = getattr(pl_module, "student")  # noqa: B009  (a Module's attributes are typed as tensors)
        best = self._best(trainer)
        adapted = hasattr(student, "merge_and_unload")
        merge = self.merge_adapters and adapted
        if best or merge:
            student = copy.deepcopy(student)
        if best:
            load_weights(student, best, "student.")
        # The base is frozen, embeddings too: without being told so peft looks for it on the hub to find out.
        options = {"save_embedding_layers": False} if adapted and not merge else {}
        _save(merge_adapters(student) if merge else student, self.folder, **options)
        tokenizer = getattr(trainer.datamodule, "tokenizer", None)  # type: ignore[attr-defined]
        if hasattr(tokenizer, "save_pretrained"):
            _save(tokenizer, self.folder)
        rank_zero_info(f"Wrote the student to {Path(self.folder).resolve()}.")

    def _best(self, trainer: Trainer) -> str:
        """Give the path of the best checkpoint, or nothing."""
        if self.checkpoint == "last":
            return ""
        paths = [each.best_model_path for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        path = next(filter(None, paths), "")
        if not path:
            rank_zero_info("SavePretrained found no best checkpoint and takes the last weights.")
        return path


def _save(part: object, folder: str, **options: bool) -> None:
    writer: _Pretrained = part  # type: ignore[assignment]
    writer.save_pretrained(folder, **options)
