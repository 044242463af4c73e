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

from lightning_abkd._utils import check_choice
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
        self._save_student(student, self._best_path(trainer), pieces)
        tokenizer = getattr(getattr(trainer, "datamodule", None), "tokenizer", None)
        if isinstance(tokenizer, _Pretrained):
            tokenizer.save_pretrained(self.folder)
        rank_zero_info(f"Wrote the student to {Path(self.folder).resolve()}.")

    def _save_student(self, student: nn.Module, best_path: str | None, pieces: dict[str, Tensor] | None) -> None:
        """Write the student with the weights of a checkpoint, or with those that it has; it is not changed."""
        student = unwrap(student)
        is_adapted = hasattr(student, "merge_and_unload")
        is_merged = is_adapted and self.merge_adapters
        if best_path is not None or is_merged:
            student = copy.deepcopy(student)
        if best_path is not None:
            load_weights(student, best_path, "student.")
        if is_merged:
            student = merge_adapters(student)
        options: dict[str, object] = {} if pieces is None else {"state_dict": pieces}
        options |= _options(student, pieces is None, is_adapted and not is_merged)
        save: Callable[..., object] = getattr(student, "save_pretrained")  # noqa: B009
        save(self.folder, **options)

    def _best_path(self, trainer: Trainer) -> str | None:
        """Return the path of the best checkpoint, or None where the last weights are to be taken."""
        if self.checkpoint == "last":
            return None
        paths = [each.best_model_path for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        path = next(filter(None, paths), None)
        if path is None:
            rank_zero_info("SavePretrained found no best checkpoint and takes the last weights.")
        return path


def _options(student: nn.Module, is_whole: bool, is_adapter: bool) -> dict[str, object]:
    if is_adapter:
        # The base is frozen, embeddings too; without this option peft asks the hub whether they were changed.
        return {"save_embedding_layers": False}
    if is_whole and own_state(student).keys() != student.state_dict().keys():
        # Compiled parts would leave their mark on the names.
        return {"state_dict": own_state(student)}
    return {}
