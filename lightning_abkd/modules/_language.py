"""Distillation of causal language models."""

from collections.abc import Mapping

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.text import Perplexity

from lightning_abkd.metrics import StudentEntropy, TeacherAgreement, TeacherEntropy
from lightning_abkd.modules._checks import logits_of
from lightning_abkd.modules._distillation import DistillationModule, Signals
from lightning_abkd.modules._teacher import call

_IGNORED = -100


class LanguageDistillationModule(DistillationModule):
    """Trains a causal language model on a corpus and on the next-token distributions of a frozen teacher.

    A batch is a mapping with input_ids (B, T), labels (B, T) in which -100 does not count, attention_mask (B, T) and
    whatever else both networks take. Labels are those of the input itself: the shift by one token happens here and
    nowhere else. Every loss is the mean over all counted tokens of the optimizer step. With the teacher left out it is
    supervised fine-tuning. Arguments beside `vocabulary` are those of `DistillationModule`.

    Args:
        vocabulary: Number of real token ids, for networks whose embeddings are padded to different sizes: logits
            beyond it are left out on both sides. None keeps all, which have to be equally many then.
        **options: Arguments of `DistillationModule`.

    Raises:
        ValueError: If `vocabulary` is below 2, or larger than what a network gives.

    Example:
        >>> import torch
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(vocab_size=11, n_positions=8, n_embd=4, n_layer=1, n_head=1)
        >>> module = LanguageDistillationModule(teacher=GPT2LMHeadModel(config), student=GPT2LMHeadModel(config))
        >>> ids = torch.arange(8).reshape(1, 8)
        >>> module.signals({"input_ids": ids, "labels": ids})["student_logits"].shape
        torch.Size([1, 7, 11])
    """

    def __init__(self, vocabulary: int | None = None, **options: object) -> None:
        if vocabulary is not None and vocabulary < 2:
            raise ValueError(f"Parameter `vocabulary` should be at least 2. Found `vocabulary = {vocabulary}`.")
        super().__init__(**options)  # type: ignore[arg-type]
        self.vocabulary = vocabulary
        self._told: set[str] = set()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:  # type: ignore[override]
        """Compute the student's logits (B, T, V) of a mapping of its keyword arguments."""
        return logits_of(call(self.student, inputs), "student")

    def signals(self, batch: Mapping[str, Tensor]) -> Signals:  # type: ignore[override]
        """Turn a batch into named tensors of the tokens that are predicted.

        Returns:
            student_logits and teacher_logits (B, T - 1, V), labels and mask (B, T - 1).
        """
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        labels = batch["labels"][:, 1:]
        signals = {"student_logits": self._predictions(self(inputs), "student"), "labels": labels}
        if self._teacher is not None:
            signals["teacher_logits"] = self._predictions(logits_of(self._teacher(inputs), "teacher"), "teacher")
        return signals | {"mask": labels != _IGNORED}

    def _predictions(self, logits: Tensor, network: str) -> Tensor:
        """Leave out the prediction after the last token and the ids that only pad the vocabulary."""
        size = logits.shape[-1]
        if self.vocabulary is None or size == self.vocabulary:
            return logits[:, :-1]
        if size < self.vocabulary:
            raise ValueError(
                f"Parameter `vocabulary` should be at most the number of ids of each network. "
                f"Found `vocabulary = {self.vocabulary}` and {size} ids in the logits of the {network}."
            )
        if network not in self._told:
            rank_zero_info(f"Left out {size - self.vocabulary} padding ids of the {network}'s {size}.")
            self._told.add(network)
        return logits[:, :-1, : self.vocabulary]

    def task_loss(self, signals: Signals) -> Tensor:
        """Compute the mean cross-entropy of the counted tokens; without one it is a connected zero."""
        logits, labels = signals["student_logits"].flatten(0, -2), signals["labels"].flatten()
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        total = nn.functional.cross_entropy(logits, labels, ignore_index=_IGNORED, reduction="sum")
        return total / signals["mask"].sum().clamp(min=1)

    def metrics(self, classes: int) -> MetricCollection:
        """Give perplexity on the labels, the student's entropy, and with a teacher agreement and its entropy."""
        metrics = MetricCollection({"perplexity": Perplexity(_IGNORED), "student_entropy": StudentEntropy()})
        if self._teacher is not None:
            metrics.add_metrics({"agreement": TeacherAgreement(), "teacher_entropy": TeacherEntropy()})
        return metrics

    def predict_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:  # type: ignore[override]
        """Compute the student's logits (B, T, V) of a batch; labels are not needed."""
        return self({name: value for name, value in batch.items() if name != "labels"})  # type: ignore[no-any-return]
