"""Distillation of causal language models."""

from collections.abc import Mapping
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.text import Perplexity

from lightning_abkd._utils import check_at_least
from lightning_abkd.language._token_rows import TeacherFromCache, TokenRows, network_inputs, token_rows, with_counted
from lightning_abkd.language._vocabulary import common_vocabulary, padding_ids
from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.language.generation import (
    GeneratedResponses,
    OnPolicy,
    Responder,
    Sampling,
    SpecialIds,
    special_ids_of,
    with_responses,
)
from lightning_abkd.language.teachers import LanguageTeacher, SeparateHead, separate_head
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.metrics import StudentEntropy, TeacherAgreement, TeacherEntropy
from lightning_abkd.training import (
    DistillationModule,
    Signals,
    call,
    check_fusible,
    check_labels,
    is_logged,
    is_watched,
    log_step,
    logits_of,
)


class LanguageDistillationModule(DistillationModule):
    """Trains a causal language model on a corpus and on the next-token distributions of a frozen teacher.

    A batch is a mapping with input_ids (B, T), labels (B, T) in which -100 does not count, attention_mask (B, T) and
    whatever else both networks take. Labels are those of the input itself: the shift by one token happens here.
    Every loss is the mean over all counted tokens of the optimizer step.

    Where networks and divergence allow it, losses and metrics are computed from last hidden states, for a few counted
    tokens at a time, so that logits of a batch are never materialised (`lightning_abkd.losses.head_loss`); otherwise
    the log says why. Then only the `base_model` of a network runs, so compile `teacher.base_model`, which also saves a
    wait for the GPU per pass. An override of `signals`, `task_loss` or `losses` gets the logits.

    Args:
        teacher: Frozen network, or None for supervised fine-tuning.
        student: Network to train.
        divergence: Distillation loss; None takes `AlphaBetaDivergence()` where there is a teacher.
        vocabulary: Number of real token ids, for networks whose embeddings are padded to different sizes: logits
            beyond it are left out on both sides, as if they were -inf. None takes the ids of the data module's
            tokenizer where the sizes differ, and all ids where they do not.
        fused_head: Whether to compute from hidden states; None does so where it is possible.
        student_data: Which training batches have their responses written by the student; None: none.
        **options: The other arguments of `DistillationModule`.

    Raises:
        ValueError: If `vocabulary` is below 2 or above the ids of a network; with `fused_head=True`, if impossible.

    Example:
        >>> import torch
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(vocab_size=11, n_positions=8, n_embd=4, n_layer=1, n_head=1)
        >>> module = LanguageDistillationModule(teacher=GPT2LMHeadModel(config), student=GPT2LMHeadModel(config))
        >>> ids = torch.arange(8).reshape(1, 8)
        >>> module.signals({"input_ids": ids, "labels": ids})["student_logits"].shape
        torch.Size([1, 7, 11])
    """

    _teacher: LanguageTeacher | None
    _teacher_type = LanguageTeacher
    _objects = (*DistillationModule._objects, "student_data")

    def __init__(
        self,
        teacher: nn.Module | None = None,
        student: nn.Module | None = None,
        divergence: DistillationLoss | None = None,
        vocabulary: int | None = None,
        fused_head: bool | None = None,
        student_data: OnPolicy | None = None,
        **options: object,
    ) -> None:
        check_at_least("vocabulary", 2 if vocabulary is None else vocabulary, 2)
        super().__init__(teacher, student, divergence, **options)  # type: ignore[arg-type]
        self.vocabulary = vocabulary
        self.fused_head, self.student_data = fused_head, student_data
        self.stored_teacher: TeacherFromCache | None = None
        self.answering = Responder()
        self._separate: SeparateHead | None = None
        self._told: set[str] = set()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Compute the student's logits (B, T, V) of a mapping of its keyword arguments."""
        return logits_of(call(self.student, network_inputs(inputs, self.student)), "student")

    def signals(self, batch: Mapping[str, Tensor]) -> Signals:
        """Turn a batch into named tensors of the tokens that are predicted.

        Returns:
            student_logits and teacher_logits (B, T - 1, V), labels and mask (B, T - 1).
        """
        labels = batch["labels"][:, 1:]
        signals = {"labels": labels, "mask": labels != IGNORE_INDEX}
        if self._teacher is not None:
            output = self._teacher(network_inputs(batch, self._teacher.network))
            signals["teacher_logits"] = self._predictions(logits_of(output, "teacher"), "teacher")
        return signals | {"student_logits": self._predictions(self(batch), "student")}

    def _predictions(self, logits: Tensor, network: str) -> Tensor:
        """Leave out the prediction after the last token and the ids that only pad the vocabulary."""
        self._check_size(logits.shape[-1], network)
        return logits[:, :-1, : self.vocabulary]

    def _check_size(self, size: int, network: str) -> None:
        if padding := padding_ids(self.vocabulary, size, network):
            self._tell(f"Left out {padding} padding ids of the {network}'s {size}.")

    def _tell(self, message: str) -> None:
        if message not in self._told:
            rank_zero_info(message)
            self._told.add(message)

    def drop_teacher(self) -> None:
        """Let go of the teacher; what is computed from it is left out from now on, unless it is stored."""
        self._teacher = None

    def setup(self, stage: str) -> None:
        """Find the common ids of both networks; put the student into train mode and compile it if asked to."""
        super().setup(stage)
        if self.vocabulary is None:
            self.vocabulary = common_vocabulary(self.student, self.teacher, getattr(self._data(), "tokenizer", None))

    @property
    def special_ids(self) -> SpecialIds:
        """Token ids that generation treats apart: the data module's tokenizer's, else the student's configuration's."""
        return special_ids_of(getattr(self._data(), "tokenizer", None), self.student, self.vocabulary)

    def _data(self) -> object:
        return None if self._trainer is None else getattr(self._trainer, "datamodule", None)

    def _rows(self, batch: Mapping[str, Tensor]) -> TokenRows | None:
        """Give the counted tokens as hidden states, or None where logits are needed."""
        if self._separate is None and self.fused_head is not False:
            self._separate = self._take_apart()
        if self._separate is None:
            return None
        self._check_size(self._separate.layer.out_features, "student")
        if self._teacher is not None and self._teacher.separate is not None:
            self._check_size(self._teacher.separate.layer.out_features, "teacher")
        stored = self.stored_teacher if self.training else None
        return token_rows(batch, self._separate, self._teacher, stored, self.vocabulary)

    def _take_apart(self) -> SeparateHead | None:
        """Take the networks apart if everything allows it, and say why not otherwise."""
        try:
            check_fusible(self, LanguageDistillationModule)
            parts = separate_head(self.student)
            if self._teacher is not None:
                self._teacher.separate = separate_head(self._teacher.network)
        except ValueError as reason:
            if self.fused_head or self.stored_teacher is not None:
                raise ValueError(f"The loss cannot be computed from hidden states: {reason}.") from reason
            self.fused_head = False
            rank_zero_info(f"Logits are computed in full: {reason}.")
            return None
        if self._compile_student:
            parts.backbone.compile()
        return parts

    def _on_before_batch_transfer(self, batch: object, dataloader_idx: int = 0) -> object:
        """Find the tokens that count while the labels are on the processor; they should not change thereafter."""
        # Not the public hook: of that, Lightning runs either the module's or the data module's, and says so.
        batch = super()._on_before_batch_transfer(batch, dataloader_idx)
        return batch if self._separate is None or self.student_data is not None else with_counted(batch)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch, log its terms, and count its tokens."""
        if self.student_data is not None:
            progress = self.global_step / max(1.0, float(self.trainer.estimated_stepping_batches))
            batch = self.student_data(batch, min(1.0, progress), self._responded)
        rows = self._rows(batch)
        if rows is None:
            return super().training_step(batch, batch_idx)
        if is_watched(self.device, batch_idx):
            check_labels(rows.labels, len(rows.head.weight))
        result, count = rows.loss(self.divergence, self.task_weight, self.distillation_weight), len(rows.labels)
        if is_logged(self.trainer, batch_idx):
            terms = {name: term for name, term in result._asdict().items() if term is not None}
            log_step(self, terms, max(1, count))
        if not count:
            self._tell("A training batch has no labelled token: it counts nothing.")
        return self._counted(result.loss, count, batch["labels"][:, 1:].numel(), rows.states, batch_idx)

    def _responded(self, batch: dict[str, Tensor], sampling: Sampling, seed: int) -> dict[str, Tensor]:
        return with_responses(self.student, batch, sampling, self.special_ids, seed + 1_000_003 * self.global_rank)

    def task_loss(self, signals: Signals) -> Tensor:
        """Compute the mean cross-entropy of the counted tokens; without one it is a connected zero."""
        logits, labels = signals["student_logits"].flatten(0, -2), signals["labels"].flatten()
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        total = nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        return total / (labels != IGNORE_INDEX).sum().clamp(min=1)

    def metrics(self, classes: int) -> MetricCollection:
        """Give perplexity on the labels, the student's entropy, and with a teacher agreement and its entropy."""
        metrics = MetricCollection({"perplexity": Perplexity(IGNORE_INDEX), "student_entropy": StudentEntropy()})
        if self._teacher is not None:
            metrics.add_metrics({"agreement": TeacherAgreement(), "teacher_entropy": TeacherEntropy()})
        return metrics

    def stage_names(self, stage: Literal["val", "test"]) -> list[str]:
        """Name what is logged for each loader: the stage, with the set's name or number if there are several."""
        data, loaders = self._data(), self.trainer.num_val_batches if stage == "val" else self.trainer.num_test_batches
        names = data.set_names("validation" if stage == "val" else "test") if hasattr(data, "set_names") else []
        if not names and len(loaders) > 1:
            names = [str(position) for position in range(len(loaders))]
        return [f"{stage}/{name}" for name in names] or [stage]

    def _evaluate_batch(self, batch: Mapping[str, Tensor], batch_idx: int, name: str) -> None:
        rows = self._rows(batch)
        for signals in [self.signals(batch)] if rows is None else rows.signals():
            self._evaluate(signals, batch_idx, name)

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a validation set."""
        self._evaluate_batch(batch, batch_idx, self.stage_names("val")[dataloader_idx])

    def test_step(self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a test set."""
        self._evaluate_batch(batch, batch_idx, self.stage_names("test")[dataloader_idx])

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics; the first set's cross-entropy steers the student's own data."""
        values: dict[str, Tensor] = {}
        for name in self.stage_names("val"):
            values |= self._log_metrics(name)
        perplexity = values.get(f"{self.stage_names('val')[0]}/perplexity")
        if self.student_data is not None and perplexity is not None and not self.trainer.sanity_checking:
            self.student_data.validated(float(perplexity.log()))

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        for name in self.stage_names("test"):
            self._log_metrics(name)

    def predict_step(self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> GeneratedResponses:
        """Let a network respond to the batch's prompts, as `answering` says; the student by default."""
        return self.answering.respond(self.student, self.teacher, batch, self.special_ids)
