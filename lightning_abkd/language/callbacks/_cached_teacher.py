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
from lightning_abkd.language.data import InstructionDataModule, collate, tokenizer_fingerprint
from lightning_abkd.language.teachers import (
    CacheDtype,
    CacheIdentity,
    CacheKind,
    CacheStatistics,
    CountedOutputs,
    TeacherCache,
    TeacherCacheWriter,
    TeacherFromCache,
    model_identity,
)
from lightning_abkd.losses import Divergence

_ROUNDING = {
    "float16": "Rounding to float16 changes a log-probability by up to 0.0005 of its value, 0.004 at -8; "
    '`dtype: "float32"` avoids it.',
    "float32": "Rounding to float32 changes a log-probability by less than 1e-6 of its value.",
}


class CachedTeacher(Callback):
    """Lets a language model learn from its teacher's stored outputs on the training data; the teacher leaves memory.

    Before the first training step the teacher runs over the training data once, and its outputs are stored; a run that
    was killed meanwhile continues. Later runs, with `teacher: null` in their configuration, never load it. A cache
    names the teacher, the tokenizer and the data that it was written from; a run with others raises an error.

    There are two kinds. "hidden" stores last hidden states in bfloat16 and the output head once, exact up to that
    rounding. "top_k" stores the k largest log-probabilities and the rest as one more class: an approximation at
    temperature 1. Its error is logged: the mean probability outside the k classes, the entropy lost, and how much
    rounding to `dtype` changes a log-probability. In float16 that is up to 2⁻¹¹ of its value (0.002 at -4, 0.004 at
    -8); float32 takes 8 k + 4 bytes per token instead of 6 k + 2.

    A module learns from the stored outputs in that fit alone: the next one needs the callback again, or a live teacher.
    Only the training data are stored: validation runs without the teacher unless it is kept. One process writes while
    the others wait; if that would take long, first write it in a run of one process.

    Args:
        folder: Where the cache is or will be.
        kind: "hidden" or "top_k".
        k: Classes stored by "top_k", at least 1 and below the number of ids.
        keep_teacher: Whether the teacher stays for validation.
        dtype: Dtype of the log-probabilities of "top_k", "float16" or "float32".

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

    def __init__(
        self,
        folder: str,
        kind: CacheKind = "hidden",
        k: int = 64,
        keep_teacher: bool = False,
        dtype: CacheDtype = "float16",
    ) -> None:
        check_choice("kind", kind, get_args(CacheKind))
        check_choice("dtype", dtype, get_args(CacheDtype))
        check_at_least("k", k, 1)
        self.folder = Path(folder)
        self.kind = kind
        self.k = k
        self.keep_teacher = keep_teacher
        self.dtype = dtype

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
        # The first rank runs it alone, which a teacher in pieces could not.
        run.module.hold_whole_weights()
        if trainer.is_global_zero:
            self._fill(run, run.module.teacher)
        trainer.strategy.barrier("the teacher's outputs are stored")
        self._open(run)
        run.module.release_weights()
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
        if cache.kind == "top_k" and cache.dtype != self.dtype:
            raise ValueError(
                f"Parameter `dtype` should be that of the teacher cache in {self.folder}, {cache.dtype!r}. "
                f"Found `dtype = {self.dtype!r}`."
            )
        teacher = run.module.teacher
        model = None if teacher is None else model_identity(teacher)
        cache.check(model, _tokenizer_identity(run.data), _data_identity(run.data))
        run.module.use_stored_teacher(TeacherFromCache(cache), for_one_fit=True)

    def _fill(self, run: LanguageRun, teacher: nn.Module) -> None:
        """Run the teacher on the samples that are not stored yet."""
        is_hidden = self.kind == "hidden"
        outputs = CountedOutputs(teacher, run.module.vocabulary, needs_hidden=is_hidden)
        if not is_hidden and self.k >= outputs.classes:
            raise ValueError(
                f"Parameter `k` should be below the {outputs.classes} ids of the teacher. Found `k = {self.k}`."
            )
        samples = run.data.sets["train"][""]
        writer = TeacherCacheWriter(
            self.folder,
            CacheIdentity(model_identity(teacher), _tokenizer_identity(run.data), _data_identity(run.data)),
            self.kind,
            token_counts=[sample.label_count for sample in samples],
            width=outputs.features if is_hidden else self.k,
            vocabulary=outputs.classes,
            head=outputs.head() if is_hidden else None,
            dtype=self.dtype,
        )
        pending = writer.pending(torch.arange(len(samples))).nonzero().squeeze(1).tolist()
        for batch in _with_progress(pending, run.data):
            if is_hidden:
                writer.write_hidden(batch["index"], outputs.hidden(batch))
            else:
                writer.write_top_k(batch["index"], outputs.logits(batch))
        rank_zero_info(f"{self.folder}: {_summary(writer.close(), self.dtype)}")


def _with_progress(pending: list[int], data: InstructionDataModule) -> Iterator[dict[str, Tensor]]:
    """Yield batches of pending training samples, with a progress bar."""
    samples = data.sets["train"][""]
    starts = range(0, len(pending), data.batch_size)
    for start in Tqdm(starts, desc="Storing the teacher's outputs", disable=not pending):
        yield collate([(i, samples[i]) for i in pending[start : start + data.batch_size]], data.padding)


def _summary(statistics: CacheStatistics, dtype: CacheDtype) -> str:
    size = f"{statistics.tokens} tokens of {statistics.samples} samples, {statistics.bytes_per_token} bytes per token"
    if statistics.tail_mass is None:
        return f"{size}."
    lost = f"probability {statistics.tail_mass:.4f}, {statistics.entropy_lost:.4f} nats of entropy"
    return f"{size}; not stored: {lost}. {_ROUNDING[dtype]}"


def _tokenizer_identity(data: InstructionDataModule) -> str:
    return f"{type(data.tokenizer).__name__} {tokenizer_fingerprint(data.tokenizer)}"


def _data_identity(data: InstructionDataModule) -> str:
    return f"{len(data.sets['train'][''])} samples {data.fingerprint('train')}"
