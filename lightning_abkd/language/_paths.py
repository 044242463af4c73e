"""The two ways from a batch of tokens to losses and metrics: through logits, or through last hidden states."""

from collections.abc import Iterable
from dataclasses import dataclass

from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)
from torch import Tensor

from lightning_abkd.language._batches import TokenBatch, with_counted
from lightning_abkd.language._token_rows import TokenRows, rowwise_divergence, token_rows
from lightning_abkd.language._vocabulary import log_padding
from lightning_abkd.language.teachers import LanguageTeacher, SeparateHead, TeacherFromCache
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training import DistillationModule, LogOnce, Signals, check_labels, is_logged, is_watched, log_step


class FromLogits:
    """Computes losses and metrics from the logits of whole batches, as every `DistillationModule` does."""

    def check(self) -> None:
        """Do nothing: logits are those of the networks as they are."""

    def prepare_on_host(self, batch: object) -> object:
        """Return the batch as it is."""
        return batch

    def training_step(self, module: DistillationModule, batch: TokenBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch, log its terms, and count its tokens."""
        return DistillationModule.training_step(module, batch, batch_idx)

    def evaluation_signals(self, module: DistillationModule, batch: TokenBatch) -> Iterable[Signals]:
        """Compute the signals of a batch in one piece."""
        return [module.signals(batch)]


@dataclass
class FromHiddenStates:
    """Computes losses and metrics from last hidden states, a few counted tokens at a time.

    Args:
        student: The student, taken apart.
        teacher: The live teacher, or None.
        stored_teacher: Stored outputs that replace the teacher in training, or None.
        vocabulary: Number of ids to keep, or None for all.
        log_once: Logs each message once.

    Raises:
        ValueError: If a network has fewer ids than `vocabulary`.
    """

    student: SeparateHead
    teacher: LanguageTeacher | None
    stored_teacher: TeacherFromCache | None
    vocabulary: int | None
    log_once: LogOnce

    def __post_init__(self) -> None:
        log_padding(self.vocabulary, self.student.layer.out_features, "student", self.log_once)
        if self.teacher is not None:
            log_padding(self.vocabulary, self.teacher.take_apart().layer.out_features, "teacher", self.log_once)

    def check(self) -> None:
        """Raise ValueError, with the reason, if a network has come to compute more than its parts.

        Callbacks may prune or parametrize an output layer, or add hooks, in the middle of a run.
        """
        self.student.check()
        if self.teacher is not None:
            self.teacher.take_apart().check()

    def prepare_on_host(self, batch: object) -> object:
        """Find the tokens that count while the labels are on the CPU; labels must not change afterwards."""
        return with_counted(batch)

    def training_step(self, module: DistillationModule, batch: TokenBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch, log its terms, and count its tokens."""
        rows = token_rows(batch, self.student, self.stored_teacher or self.teacher, self.vocabulary)
        count = len(rows.labels)
        _check_compared(module.divergence, rows)
        if is_watched(module.device, batch_idx):
            check_labels(rows.labels, len(rows.head.weight))
        terms = rows.loss(module.divergence, module.task_weight, module.distillation_weight)
        if count:
            weights = (module.task_weight, module.distillation_weight)
            module.log_shares(lambda: rows.gradient_norms(module.divergence, *weights))
        if count and is_logged(module.trainer, batch_idx):
            named = {name: term for name, term in terms._asdict().items() if term is not None}
            log_step(module, named, count)
        if not count:
            self.log_once("A training batch has no labelled token and adds nothing to the loss.")
        return module.part_of_step(terms.loss, count, batch["labels"][:, 1:].numel(), rows.states, batch_idx)

    def evaluation_signals(self, module: DistillationModule, batch: TokenBatch) -> Iterable[Signals]:
        """Compute the signals of a batch in parts, with the live teacher: only training data have stored outputs."""
        return token_rows(batch, self.student, self.teacher, self.vocabulary).signals()


TokenPath = FromLogits | FromHiddenStates

# With all of them a step sees the output layer in one piece: under ModelParallelStrategy it is gathered once a step,
# before the forward pass, and stays whole until its gradient has gone back to the ranks.
_WHOLE_HEAD = (SingleDeviceStrategy, DDPStrategy, ModelParallelStrategy)


def _check_compared(divergence: DistillationLoss | None, rows: TokenRows) -> None:
    if divergence is not None and rows.compare is None:
        raise ValueError(
            f"{type(divergence).__name__} asks for the signal `teacher_logits`. Found no teacher. "
            "Give the module a `teacher`, or leave out its `divergence`."
        )


def check_needs_no_logits(module: DistillationModule, own: type[DistillationModule]) -> None:
    """Raise ValueError with the reason if something of a module needs the logits of whole batches.

    Args:
        module: A module with its trainer.
        own: The class whose own `signals`, `task_loss` and `losses` hidden states can stand in for.
    """
    for name in ("signals", "task_loss", "losses"):
        if getattr(type(module), name) is not getattr(own, name):
            raise ValueError(f"{type(module).__name__} overrides `{name}`")
    rowwise_divergence(module.divergence)
    if not _keeps_head_whole(module.trainer.strategy):
        raise ValueError(f"{type(module.trainer.strategy).__name__} may keep the output layer in pieces")


def _keeps_head_whole(strategy: Strategy) -> bool:
    if isinstance(strategy, DeepSpeedStrategy):
        # Its first two stages divide gradients and the optimizer's state, the third the weights as well.
        return not strategy.zero_stage_3
    return type(strategy) in _WHOLE_HEAD
