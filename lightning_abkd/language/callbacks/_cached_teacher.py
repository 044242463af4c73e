"""Training from stored outputs of the teacher."""

from functools import partial
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_abkd.language import LanguageDistillationModule
from lightning_abkd.language.callbacks._responses import checked
from lightning_abkd.language.data import IGNORE_INDEX, InstructionDataModule, collate, tokenizer_fingerprint
from lightning_abkd.language.teachers import (
    CacheIdentity,
    CacheStatistics,
    SeparateHead,
    TeacherCache,
    TeacherCacheWriter,
    TeacherFromCache,
    model_identity,
    separate_head,
)
from lightning_abkd.losses import Divergence


class CachedTeacher(Callback):
    """Lets a language model learn from its teacher's stored outputs on the training data; the teacher leaves memory.

    Before the first training step the teacher runs over the training data once and its outputs are stored; a run that
    is killed meanwhile goes on where it was. Later runs, with `teacher: null` in their configuration, never load it. A
    cache names the teacher, the tokenizer and the data that it was written from, and is refused where these differ.

    Two kinds: "hidden" keeps last hidden states in bfloat16 and the output head once, exact up to that rounding.
    "top_k" keeps the k largest log-probabilities and the rest as one more class: an approximation at temperature 1,
    whose loss is said: the mean mass of the rest and the entropy that goes with it.

    Only the training data are stored: validation goes without the teacher, unless it is kept. One process writes while
    the others wait; write with one process first where that would take long.

    Args:
        folder: Where the cache is or will be.
        kind: "hidden" or "top_k".
        k: Classes kept by "top_k", at least 1.
        keep_teacher: Whether the teacher stays for validation.

    Raises:
        ValueError: At the start of a fit, if module, data or divergence do not allow it, or the cache belongs to
            something else.
        TypeError: At the start of a fit, if the module is no `LanguageDistillationModule` or the data module no
            `InstructionDataModule`.
    """

    def __init__(
        self, folder: str, kind: Literal["hidden", "top_k"] = "hidden", k: int = 64, keep_teacher: bool = False
    ) -> None:
        if kind not in ("hidden", "top_k"):
            raise ValueError(f"Parameter `kind` should be 'hidden' or 'top_k'. Found `kind = {kind!r}`.")
        if k < 1:
            raise ValueError(f"Parameter `k` should be at least 1. Found `k = {k}`.")
        self.folder, self.kind, self.k, self.keep_teacher = Path(folder), kind, k, keep_teacher

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that it is possible; without a teacher open the cache."""
        if stage != "fit":
            return
        module, data = _checked(self, trainer, pl_module)
        if self.kind == "top_k" and float(getattr(module.divergence, "temperature", 1.0)) != 1.0:
            raise ValueError(
                f"Stored classes of the kind 'top_k' are those of temperature 1. Found "
                f"`temperature = {float(module.divergence.temperature)}`. Use the kind 'hidden'."  # type: ignore[union-attr, arg-type]
            )
        if module.teacher is None:
            self._open(module, data)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store what is missing, and let go of the teacher."""
        module, data = _checked(self, trainer, pl_module)
        if module.teacher is None:
            return
        if trainer.is_global_zero:
            self._fill(module, data)
        trainer.strategy.barrier("the teacher's outputs are stored")
        self._open(module, data)
        if not self.keep_teacher:
            module.drop_teacher()

    def _open(self, module: LanguageDistillationModule, data: InstructionDataModule) -> None:
        cache = TeacherCache(self.folder)
        if cache.kind != self.kind:
            raise ValueError(
                f"The teacher cache in {self.folder} should be of the kind {self.kind!r}. Found {cache.kind!r}."
            )
        identity = None if module.teacher is None else model_identity(module.teacher)
        cache.check(identity, _tokenizer_identity(data), _data_identity(data))
        module.use_stored_teacher(TeacherFromCache(cache))

    def _fill(self, module: LanguageDistillationModule, data: InstructionDataModule) -> None:
        """Run the teacher over what is not stored yet."""
        teacher, samples = module.teacher, data.sets["train"][""]
        if teacher is None:
            return
        parts = separate_head(teacher)
        head = parts.head() if module.vocabulary is None else parts.head().cut(module.vocabulary)
        hidden = self.kind == "hidden"
        writer = TeacherCacheWriter(
            self.folder,
            CacheIdentity(model_identity(teacher), _tokenizer_identity(data), _data_identity(data)),
            self.kind,
            [len(sample) - max(1, sample.prompt_length) for sample in samples],
            parts.layer.in_features if hidden else self.k,
            len(head.weight),
            head.to(torch.device("cpu")) if hidden else None,
        )
        pending = writer.pending(torch.arange(len(samples))).nonzero().squeeze(1).tolist()
        rows = [(index, samples[index]) for index in pending]
        # A random state of its own leaves the order of the training data what it is without a cache.
        options = {"collate_fn": partial(collate, padding=data.padding), "generator": torch.Generator()}
        loader = DataLoader(rows, data.batch_size, **options)  # type: ignore[arg-type, var-annotated]
        for batch in Tqdm(loader, desc="Storing the teacher's outputs", disable=not rows):
            states = _hidden(parts, batch)
            if hidden:
                writer.write_hidden(batch["index"], states)
            else:
                writer.write_top_k(batch["index"], head.logits(states))
        rank_zero_info(f"{self.folder}: {_described(writer.close())}")


def _described(said: CacheStatistics) -> str:
    text = f"{said.tokens} tokens of {said.samples} samples, {said.bytes_per_token} bytes a token"
    if said.tail_mass is None:
        return f"{text}."
    return f"{text}; lost are a mass of {said.tail_mass:.4f} and {said.entropy_lost:.4f} nats of entropy a token."


@torch.no_grad()
def _hidden(parts: SeparateHead, batch: dict[str, Tensor]) -> Tensor:
    """Compute the teacher's last hidden states at the counted tokens, shape (N, D)."""
    device = parts.layer.weight.device
    inputs = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
    return parts.hidden(**inputs)[:, :-1][batch["labels"][:, 1:].to(device) != IGNORE_INDEX]


def _checked(
    callback: Callback, trainer: Trainer, pl_module: LightningModule
) -> tuple[LanguageDistillationModule, InstructionDataModule]:
    module, data = checked(callback, trainer, pl_module)
    if data.packing:
        raise ValueError("Stored outputs belong to samples, which packed rows do not name. Set `packing: false`.")
    if module.student_data is not None:
        raise ValueError("Responses of the student are not among the stored outputs. Leave `student_data` out.")
    if not isinstance(module.divergence, Divergence):
        raise ValueError(
            "CachedTeacher needs a divergence that is a mean over tokens. "
            f"Found {type(module.divergence).__name__}; give the module a `divergence`."
        )
    return module, data


def _tokenizer_identity(data: InstructionDataModule) -> str:
    return f"{type(data.tokenizer).__name__} {tokenizer_fingerprint(data.tokenizer)}"


def _data_identity(data: InstructionDataModule) -> str:
    return f"{len(data.sets['train'][''])} samples {data.fingerprint('train')}"
