"""Training from stored outputs of the teacher."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_abkd._utils import check_at_least, check_choice
from lightning_abkd.language.callbacks._language_run import LanguageRun, language_run
from lightning_abkd.language.data import IGNORE_INDEX, InstructionDataModule, collate, tokenizer_fingerprint
from lightning_abkd.language.teachers import (
    CacheIdentity,
    CacheKind,
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

    Before the first training step the teacher runs over the training data once, and its outputs are stored; a run that
    was killed meanwhile continues. Later runs, with `teacher: null` in their configuration, never load it. A cache
    names the teacher, the tokenizer and the data that it was written from; a run with others raises an error.

    There are two kinds. "hidden" stores last hidden states in bfloat16 and the output head once, exact up to that
    rounding. "top_k" stores the k largest log-probabilities and the rest as one more class: an approximation at
    temperature 1. Its error is logged: the mean probability outside the k classes and the entropy lost.

    Only the training data are stored: validation runs without the teacher unless it is kept. One process writes while
    the others wait; if that would take long, first write it in a run of one process.

    Args:
        folder: Where the cache is or will be.
        kind: "hidden" or "top_k".
        k: Classes stored by "top_k", at least 1.
        keep_teacher: Whether the teacher stays for validation.

    Raises:
        ValueError: At the start of a fit, if module, data or divergence do not allow it, or the cache belongs to
            something else.
        TypeError: At the start of a fit, if the module is not a `LanguageDistillationModule` or the data module not an
            `InstructionDataModule`.

    Example:
        >>> CachedTeacher("runs/teacher_cache", kind="top_k", k=32).k
        32
    """

    brings_teacher = True
    """Whether a module without a teacher gets the default divergence."""

    def __init__(self, folder: str, kind: CacheKind = "hidden", k: int = 64, keep_teacher: bool = False) -> None:
        check_choice("kind", kind, get_args(CacheKind))
        check_at_least("k", k, 1)
        self.folder = Path(folder)
        self.kind = kind
        self.k = k
        self.keep_teacher = keep_teacher

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that training from stored outputs is possible; without a teacher open the cache."""
        if stage != "fit":
            return
        run = self._compatible_run(trainer, pl_module)
        if run.module.teacher is None:
            self._open(run)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store what is missing, and release the teacher."""
        run = self._compatible_run(trainer, pl_module)
        if run.module.teacher is None:
            return
        if trainer.is_global_zero:
            self._fill(run, run.module.teacher)
        trainer.strategy.barrier("the teacher's outputs are stored")
        self._open(run)
        if not self.keep_teacher:
            run.module.drop_teacher()

    def _compatible_run(self, trainer: Trainer, pl_module: LightningModule) -> LanguageRun:
        """Return module and data module if stored outputs fit them."""
        run = language_run(self, trainer, pl_module)
        if run.data.packing:
            raise ValueError("Stored outputs belong to samples, which packed rows do not name. Set `packing: false`.")
        if run.module.student_data is not None:
            raise ValueError("Responses of the student are not among the stored outputs. Leave `student_data` out.")
        run.module.expect_teacher()
        divergence = run.module.divergence
        if not isinstance(divergence, Divergence):
            raise ValueError(
                "CachedTeacher needs a divergence that is a mean over tokens. "
                f"Found {type(divergence).__name__}; give the module a `divergence`."
            )
        temperature = float(divergence.temperature)
        if self.kind == "top_k" and temperature != 1.0:
            raise ValueError(
                "A teacher cache of the kind 'top_k' holds probabilities at temperature 1. "
                f"Found `temperature = {temperature}`. Use the kind 'hidden'."
            )
        return run

    def _open(self, run: LanguageRun) -> None:
        """Let the module learn from the cache, if it belongs to this run."""
        cache = TeacherCache(self.folder)
        if cache.kind != self.kind:
            raise ValueError(
                f"The teacher cache in {self.folder} should be of the kind {self.kind!r}. Found {cache.kind!r}."
            )
        teacher = run.module.teacher
        model = None if teacher is None else model_identity(teacher)
        cache.check(model, _tokenizer_identity(run.data), _data_identity(run.data))
        run.module.use_stored_teacher(TeacherFromCache(cache))

    def _fill(self, run: LanguageRun, teacher: nn.Module) -> None:
        """Run the teacher on the samples that are not stored yet."""
        parts = separate_head(teacher)
        head = parts.head(run.module.vocabulary)
        samples = run.data.sets["train"][""]
        is_hidden = self.kind == "hidden"
        writer = TeacherCacheWriter(
            self.folder,
            CacheIdentity(model_identity(teacher), _tokenizer_identity(run.data), _data_identity(run.data)),
            self.kind,
            token_counts=[sample.label_count for sample in samples],
            width=parts.layer.in_features if is_hidden else self.k,
            vocabulary=len(head.weight),
            head=head.to(torch.device("cpu")) if is_hidden else None,
        )
        pending = writer.pending(torch.arange(len(samples))).nonzero().squeeze(1).tolist()
        for batch in _with_progress(pending, run.data):
            states = _hidden_states(parts, batch)
            if is_hidden:
                writer.write_hidden(batch["index"], states)
            else:
                writer.write_top_k(batch["index"], head.logits(states))
        rank_zero_info(f"{self.folder}: {_summary(writer.close())}")


def _with_progress(pending: list[int], data: InstructionDataModule) -> Iterator[dict[str, Tensor]]:
    """Yield batches of pending training samples, with a progress bar."""
    samples = data.sets["train"][""]
    starts = range(0, len(pending), data.batch_size)
    for start in Tqdm(starts, desc="Storing the teacher's outputs", disable=not pending):
        yield collate([(i, samples[i]) for i in pending[start : start + data.batch_size]], data.padding)


def _summary(statistics: CacheStatistics) -> str:
    size = f"{statistics.tokens} tokens of {statistics.samples} samples, {statistics.bytes_per_token} bytes per token"
    if statistics.tail_mass is None:
        return f"{size}."
    return f"{size}; not stored: probability {statistics.tail_mass:.4f}, {statistics.entropy_lost:.4f} nats of entropy."


@torch.no_grad()
def _hidden_states(parts: SeparateHead, batch: dict[str, Tensor]) -> Tensor:
    """Compute the teacher's last hidden states at the counted tokens, shape (N, D)."""
    device = parts.layer.weight.device
    inputs = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
    return parts.hidden(**inputs)[:, :-1][batch["labels"][:, 1:].to(device) != IGNORE_INDEX]


def _tokenizer_identity(data: InstructionDataModule) -> str:
    return f"{type(data.tokenizer).__name__} {tokenizer_fingerprint(data.tokenizer)}"


def _data_identity(data: InstructionDataModule) -> str:
    return f"{len(data.sets['train'][''])} samples {data.fingerprint('train')}"
