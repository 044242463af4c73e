"""How a module is optimized."""

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

import lightning_abkd.training._checks as checks
from lightning_abkd._utils import check_positive
from lightning_abkd.training._batches import Signals
from lightning_abkd.training._learning_rate import learning_rate, set_learning_rate
from lightning_abkd.training._lightning import HostBatches, resumes_fit, trainer_of
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

    def optimize_by(self, optimizers: Optimizers) -> None:
        """Take the optimizer and the schedule from now on."""
        self._optimizers = optimizers
        self._step_mean = StepMean()
        self._resumption = Resumption()

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

    def part_of_step(
        self, loss: Tensor, count: int | Tensor, positions: int, signals: Signals, batch_idx: int
    ) -> Tensor:
        """Return a micro-batch's part of the loss of its step, from its mean loss over `count` of `positions`."""
        if checks.is_watched(self.device, batch_idx):
            checks.check_not_nan(loss.detach(), signals, self.global_step)
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._step_mean.start_step()
        return self._step_mean.add(loss, count, positions, self.trainer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Rescale the gradients to those of the mean loss over all counted positions of the step."""
        average_whole_gradients(self)
        self._step_mean.finish(optimizer, self.trainer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of all trainable parameters, and the learning-rate schedule."""
        return self._optimizers.build(self, self._rate)
