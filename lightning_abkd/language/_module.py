"""Distillation of causal language models."""

from typing import Any

from lightning.pytorch import Callback
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lightning_abkd._utils import check_at_least
from lightning_abkd.language._batch_form import ReadBatch
from lightning_abkd.language._batch_reader import BatchReader
from lightning_abkd.language._batches import TokenBatch, network_inputs, without_last_labels
from lightning_abkd.language._old_attributes import OldAttribute
from lightning_abkd.language._own_responses import with_student_data
from lightning_abkd.language._path_choice import PathChoice, PathWish
from lightning_abkd.language._paths import TokenPath
from lightning_abkd.language._store import Store
from lightning_abkd.language._token_terms import token_cross_entropy, token_metrics
from lightning_abkd.language._vocabulary import common_vocabulary, log_padding
from lightning_abkd.language.data import IGNORE_INDEX, Tokenizer
from lightning_abkd.language.generation import GeneratedResponses, OnPolicy, Responder, SpecialIds, special_ids_of
from lightning_abkd.language.teachers import LanguageTeacher, TeacherFromCache
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training import (
    DistillationModule,
    LogOnce,
    Signals,
    Stage,
    call,
    datamodule_of,
    logits_of,
    repeated_row,
    trainer_of,
)


class LanguageDistillationModule(DistillationModule):
    """Trains a causal language model on a corpus and on the next-token distributions of a frozen teacher.

    A batch is a mapping with input_ids (B, T), labels (B, T), attention_mask (B, T) and whatever else both networks
    take. A label of -100 does not count. Labels are not shifted in the batch; the module shifts them by one token.
    Every loss is the mean over all counted tokens of the optimizer step.

    Where networks and divergence allow it, losses and metrics are computed from last hidden states, for a few counted
    tokens at a time, so that the logits of a batch are never materialised (`lightning_abkd.losses.head_loss`). Only the
    `base_model` of a network runs then, so compile `teacher.base_model`, which also saves a wait for the GPU per pass.
    Where it is not possible, the log says why. An override of `signals`, `task_loss` or `losses` gets the logits.

    Args:
        teacher: Frozen network, or None for supervised fine-tuning.
        student: Network to train.
        divergence: Distillation loss; None takes `AlphaBetaDivergence()` where there is a teacher.
        vocabulary: Number of real token ids, at least 2, for networks whose embeddings are padded to different sizes:
            logits beyond it are left out on both sides, as if they were -inf. None takes the ids of the data module's
            tokenizer where the sizes differ, and all ids where they do not.
        fused_head: Whether to compute from hidden states; None does so where it is possible.
        student_data: Policy that replaces some batches' responses by the student's own; None never does.
        **options: The other arguments of `DistillationModule`.

    Raises:
        ValueError: If `vocabulary` is below 2 or above the ids of a network, or `fused_head` is True where it is
            impossible.

    Example:
        >>> import torch
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16}
        >>> teacher, student = causal_lm_from_config("gpt2", sizes), causal_lm_from_config("gpt2", sizes)
        >>> module = LanguageDistillationModule(teacher=teacher, student=student)
        >>> ids = torch.arange(8).reshape(1, 8)
        >>> module.signals({"input_ids": ids, "labels": ids})["student_logits"].shape
        torch.Size([1, 7, 16])
    """

    _teacher: LanguageTeacher | None
    _teacher_type = LanguageTeacher
    _objects = (*DistillationModule._objects, "student_data")
    answering = OldAttribute("_responder", setter="respond_with")
    special = OldAttribute("special_ids")

    def __init__(
        self,
        teacher: nn.Module | None = None,
        student: nn.Module | None = None,
        divergence: DistillationLoss | None = None,
        vocabulary: int | None = None,
        fused_head: bool | None = None,
        student_data: OnPolicy | None = None,
        **options: Any,
    ) -> None:
        check_at_least("vocabulary", 2 if vocabulary is None else vocabulary, 2)
        super().__init__(teacher, student, divergence, **options)
        self.vocabulary = vocabulary
        self._found_vocabulary: int | None = None
        self.fused_head = fused_head
        self.student_data = student_data
        self._store = Store()
        self._responder = Responder()
        self._log_once = LogOnce()
        self._choice = PathChoice(self._log_once)
        self._reader: BatchReader | None = None

    def configure_callbacks(self) -> list[Callback]:
        """Expect a teacher if a callback brings one; a fit leaves the outputs that were stored for an earlier one."""
        if self.trainer.training:
            is_missed = self.divergence is not None and self._teacher is None and not self.has_teacher_callback
            self._store.begin_fit(is_missed)
        return super().configure_callbacks()

    def setup(self, stage: str) -> None:
        """Find the common ids of both networks; put the student into train mode and compile it if asked to."""
        super().setup(stage)
        self._forget_networks()
        if stage == "fit":
            self._restart()
        self._find_vocabulary()

    def _restart(self) -> None:
        """Forget an earlier fit, also one that stopped anywhere; a checkpoint that is resumed is read afterwards."""
        self.train()
        self._log_once.messages.clear()
        if self.student_data is not None:
            self.student_data.restart()
        if self.vocabulary == self._found_vocabulary:
            self.vocabulary = None

    def _find_vocabulary(self) -> None:
        """Find the common ids of all networks, unless they are given or known already."""
        if self.vocabulary is None:
            stored = self._store.teacher
            common = common_vocabulary(self.student, self.teacher, self._tokenizer())
            self.vocabulary = common if stored is None else stored.cache.vocabulary
            self._found_vocabulary = self.vocabulary

    def _forget_networks(self) -> None:
        self._choice = PathChoice(self._log_once)
        self._reader = None

    @property
    def stored_teacher(self) -> TeacherFromCache | None:
        """The stored outputs that training learns from in the teacher's place, or None."""
        return self._store.teacher

    def use_stored_teacher(self, stored: TeacherFromCache, for_one_fit: bool = False) -> None:
        """Learn from stored outputs in one fit or in all; evaluations keep the live teacher if there is one."""
        self._store = Store(stored, for_one_fit)
        self._forget_networks()
        self.expect_teacher()
        self._find_vocabulary()

    def drop_teacher(self) -> None:
        """Release the teacher; from now on, what needs its outputs is left out unless they are stored."""
        self._teacher = None
        self._forget_networks()

    def respond_with(self, responder: Responder) -> Responder:
        """Predict with the responses of this responder, and return the one before; by default the student responds."""
        before = self._responder
        self._responder = responder
        return before

    @property
    def special_ids(self) -> SpecialIds:
        """Token ids that generation treats specially, of the data module's tokenizer or else the student's config."""
        return special_ids_of(self._tokenizer(), self.student, self.vocabulary)

    def _tokenizer(self) -> Tokenizer | None:
        tokenizer: Tokenizer | None = getattr(datamodule_of(self), "tokenizer", None)
        return tokenizer

    def forward(self, inputs: TokenBatch) -> Tensor:
        """Compute the student's logits (B, T, V) from a mapping of its keyword arguments."""
        return logits_of(call(self.student, network_inputs(inputs, self.student)), "student")

    def signals(self, batch: TokenBatch) -> Signals:
        """Turn a batch into named tensors of the tokens that are predicted.

        Returns:
            student_logits and teacher_logits (B, T - 1, V), labels and mask (B, T - 1).
        """
        batch = self._read(batch)
        labels = batch["labels"][:, 1:]
        signals = {"labels": labels, "mask": labels != IGNORE_INDEX}
        if self._teacher is not None:
            output = self._teacher(network_inputs(batch, self._teacher.network))
            signals["teacher_logits"] = self._predictions(logits_of(output, "teacher"), "teacher")
        return signals | {"student_logits": self._predictions(self.in_step(batch), "student")}

    def _predictions(self, logits: Tensor, network: str) -> Tensor:
        """Leave out the prediction after the last token and the ids that only pad the vocabulary."""
        log_padding(self.vocabulary, logits.shape[-1], network, self._log_once)
        return logits[:, :-1, : self.vocabulary]

    def task_loss(self, signals: Signals) -> Tensor:
        """Compute the mean cross-entropy of the counted tokens; if none counts, it is 0 with zero gradients."""
        return token_cross_entropy(signals["student_logits"], signals["labels"])

    def metrics(self, classes: int) -> MetricCollection:
        """Build perplexity on the labels and student entropy; with a teacher also agreement and teacher entropy."""
        return token_metrics(with_teacher=self._teacher is not None)

    def _path_of(self, batch: TokenBatch) -> TokenPath:
        wish = PathWish(
            self.fused_head, self.student, self._teacher, self._store.teacher, self.vocabulary, self._compile_student
        )
        return self._choice.path_for(self, LanguageDistillationModule, wish, batch)

    def _read(self, batch: object) -> ReadBatch:
        if self._reader is None:
            networks = {"student": self.student, "teacher": self.teacher}
            self._reader = BatchReader(networks, self._tokenizer(), self._log_once)
        trainer = trainer_of(self)
        if trainer is not None and trainer.predicting:
            return self._reader.read(batch, "optional")
        learns = self.divergence is not None and (self._teacher or self._store.teacher) is not None
        return self._reader.read(batch, "needed" if self.task_weight or not learns else "made")

    def prepare_on_host(self, batch: object) -> object:
        """Read a batch and prepare it for the chosen path, unless the student may still replace its responses."""
        read = self._read(batch)
        return read if self.student_data is not None else self._choice.prepare_on_host(read)

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch, log its terms, and count its tokens."""
        batch = self._read(batch)
        if self.student_data is not None:
            own = with_student_data(self, self.student_data, batch, lambda: self.special_ids)
            batch = self._read(own)
        return self._path_of(batch).training_step(self, batch, batch_idx)

    def _evaluate_batch(self, batch: TokenBatch, batch_idx: int, dataloader_idx: int, stage: Stage) -> None:
        batch = self._read(batch)
        if repeated_row(self.trainer, batch_idx, dataloader_idx) is not None:
            batch = without_last_labels(batch)
        name = self.stage_names(stage)[dataloader_idx]
        for signals in self._path_of(batch).evaluation_signals(self, batch):
            self._evaluate(signals, batch_idx, name)

    def on_validation_epoch_end(self) -> None:
        """Log losses and metrics; the first set's cross-entropy steers the student's own data."""
        values = self._log_sets("val")
        perplexity = values.get(f"{self.stage_names('val')[0]}/perplexity")
        if self.student_data is not None and perplexity is not None and not self.trainer.sanity_checking:
            self.student_data.validated(float(perplexity.log()))

    def predict_step(self, batch: TokenBatch, batch_idx: int, dataloader_idx: int = 0) -> GeneratedResponses:
        """Let a network respond to the batch's prompts, the student unless `respond_with` says otherwise."""
        return self._responder.respond(self.student, self.teacher, self._read(batch), self.special_ids)
