"""How a module is optimized."""

from collections.abc import Callable

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

import lightning_abkd.training._checks as checks
from lightning_abkd._utils import check_positive
from lightning_abkd.training._batches import Batch
from lightning_abkd.training._evidence import Rows
from lightning_abkd.training._learning_rate import learning_rate, set_learning_rate
from lightning_abkd.training._lightning import HostBatches, resumes_fit, trainer_of
from lightning_abkd.training._lightning_loops import begun_batches
from lightning_abkd.training._log_once import LogOnce
from lightning_abkd.training._non_finite_guard import NonFiniteGuard, guard_of
from lightning_abkd.training._optimizers import Optimizers
from lightning_abkd.training._resumption import Resumption, state_of, take_state
from lightning_abkd.training._sharding import average_whole_gradients
from lightning_abkd.training._step_mean import StepMean
from lightning_abkd.training._whole_files import keep_own_memory

_RESUMPTION = "resumption"


class Optimization(HostBatches):
    """The optimizer, its learning rate and schedule, and steps that are means over all their positions.

    A subclass calls `optimize_by` when it is built.
    """

    _optimizers: Optimizers
    _rate: float | None = None
    _rates_to_keep: list[float] | None = None
    # What a position of a batch is called in messages.
    _position = "sample"

    def optimize_by(self, optimizers: Optimizers) -> None:
        """Take the optimizer and the schedule from now on."""
        self._optimizers = optimizers
        self._step_mean = StepMean()
        self._resumption = Resumption()
        self._own_guard = NonFiniteGuard()
        self._log_once = LogOnce()

    @property
    def _guard(self) -> NonFiniteGuard:
        """The guard among the trainer's callbacks, or one that stops."""
        return guard_of(self.trainer) or self._own_guard

    @property
    def lr(self) -> float:
        """Learning rate that the schedule starts from, of the first group; may be set, also by Lightning's finder.

        Other groups keep their proportions to it. What is set takes the place of the optimizer's own rate.
        """
        if self._rate is not None:
            return self._rate
        return learning_rate(self._optimizers.plain(self))

    @lr.setter
    def lr(self, rate: float) -> None:
        check_positive("lr", rate)
        self._rate = float(rate)
        trainer = trainer_of(self)
        if trainer is None or trainer.state.fn != TrainerFn.FITTING or not trainer.optimizers:
            return
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        set_learning_rate(trainer.optimizers[0], schedulers, self._rate)
        self._rates_to_keep = [group["lr"] for group in trainer.optimizers[0].param_groups]

    learning_rate = lr

    def _keep_rates(self) -> None:
        """Undo that Lightning's finder gives all groups one rate, that of a schedule's end of warm-up."""
        if self._rates_to_keep is not None:
            for group, rate in zip(self.trainer.optimizers[0].param_groups, self._rates_to_keep, strict=True):
                group["lr"] = rate
        self._rates_to_keep = None

    def on_fit_start(self) -> None:
        """Start at the learning rate that a finder has set, and after a resume with the order of the next epoch."""
        self._keep_rates()
        self._guard.begin_fit(self.trainer)
        if not resumes_fit(self):
            self._resumption.take({})
        self._resumption.restore_generators(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Go on at the learning rate that a finder has set, and after a resume with the order of the next epoch."""
        self._keep_rates()
        self._resumption.begin_epoch(self.trainer)

    def on_train_start(self) -> None:
        """Forget what is left of an earlier fit that stopped within a step, and go on with that of a checkpoint."""
        self._step_mean.start()
        self.zero_grad()
        self._resumption.begin(self.trainer, self, self._step_mean)

    def begin_batch(self) -> None:
        """Go on after a resume with the draws of the next batch."""
        trainer = trainer_of(self)
        if trainer is not None and trainer.training:
            self._resumption.begin_batch(trainer)

    def on_fit_end(self) -> None:
        """Raise ValueError if the training data gave no batch, though some were asked for."""
        trainer = self.trainer
        is_wanted = trainer.limit_train_batches != 0 and 0 not in (trainer.max_epochs, trainer.max_steps)
        if is_wanted and not trainer.should_stop and not trainer.global_step and not begun_batches(trainer):
            raise ValueError(
                "The training data should give at least one batch. Found none. Check that the data set is not empty, "
                "and that `drop_last` does not drop its only batch, which is smaller than the batch size."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Save what a fit needs to go on; a checkpoint of weights alone does not. Nothing of a teacher is saved."""
        weights = checkpoint.get("state_dict")
        if isinstance(weights, dict):
            keep_own_memory(weights)
        trainer = trainer_of(self)
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING and "optimizer_states" in checkpoint:
            checkpoint[_RESUMPTION] = state_of(self, trainer, self._step_mean)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take what a fit needs to go on."""
        state = checkpoint.get(_RESUMPTION) if resumes_fit(self) else None
        self._resumption.take(state if isinstance(state, dict) else {})
        if isinstance(state, dict):
            take_state(state, self, checkpoint)
            self._resumption.restore_generators(self.trainer)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let the guard keep what it needs of the state before the batch."""
        if self._guard is self._own_guard:
            self._own_guard.begin_batch(self, batch_idx)

    def look_at(
        self,
        batch: Batch,
        batch_idx: int,
        losses: dict[str, Tensor],
        rows: Callable[[], Rows],
        holds_logits: bool = True,
    ) -> None:
        """Let the guard look at a micro-batch.

        Args:
            batch: The batch that the networks saw.
            batch_idx: Its position in the epoch.
            losses: The loss under "loss", and its terms.
            rows: Computes the largest entry of the logits at each position, by the name of the signal.
            holds_logits: Whether `rows` keeps the logits of the batch as long as it lives.
        """
        self._guard.look(self, batch, batch_idx, losses, rows, holds_logits)

    def part_of_step(self, loss: Tensor, count: int | Tensor, positions: int, batch_idx: int) -> Tensor:
        """Return a micro-batch's part of the loss of its step, from its mean loss over `count` of `positions`."""
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._step_mean.start_step()
        if checks.is_watched(self.device, batch_idx) and int(count) == 0:
            self._log_once(f"A training batch has no labelled {self._position} and adds nothing to the loss.")
        return self._step_mean.add(loss, count, positions, self.trainer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Rescale the gradients to those of the mean loss over all counted positions, and let the guard decide."""
        average_whole_gradients(self)
        self._step_mean.finish(optimizer, self.trainer)
        self._guard.decide(self, optimizer)

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: object) -> None:
        """Move a learning-rate schedule, unless it counts steps and the last one was skipped."""
        if not self._guard.holds(self.trainer, scheduler):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of all trainable parameters, and the learning-rate schedule."""
        return self._optimizers.build(self, self._rate)
