"""A callback that says what happens when numbers of a training step are NaN or infinite."""

from collections.abc import Callable, Mapping
from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

import lightning_abkd.training._checks as checks
from lightning_abkd._utils import check_at_least, check_choice
from lightning_abkd.training._batches import Batch
from lightning_abkd.training._evidence import Look, Rows, listed
from lightning_abkd.training._lightning import callbacks_of, finds_learning_rate, moves_with_steps
from lightning_abkd.training._step_judge import StepJudge


class NonFiniteGuard(Callback):
    """Stops or skips training steps whose loss or gradient is NaN or infinite.

    The modules of this package stop without it, too; this callback is for another policy. The error, or the warning of
    a skipped step, names the network, the step, the batch and its samples, the likely cause and what to do. The batch
    is saved in the folder of the run, see `lightning_abkd.diagnostics.replay_batch`. A step that stops is not taken, so
    that the student is what it was before. In YAML::

        callbacks:
          - class_path: lightning_abkd.callbacks.NonFiniteGuard
            init_args: {policy: skip, most_in_a_row: 3}

    A skipped step leaves weights, buffers, averages of weights, the optimizer's state, learning-rate schedules of steps
    and scheduled numbers such as α and β as they were. The trainer counts it all the same: `global_step` and
    `max_steps` are of all steps. Of accumulated micro-batches one is enough to skip the whole step, and of several
    processes one: they agree by one number a step. "skip" waits for a GPU once in each optimizer step; "stop" looks at
    every batch on a CPU and at every 50th on a GPU.

    With 16-mixed precision, gradients that overflow are the business of the gradient scaler, which skips such steps by
    itself. Only losses count then, and a scale that has come down to 1e-4. DeepSpeed takes steps of its own, where
    "skip" is refused.

    Args:
        policy: "stop" raises an error, "skip" leaves the step out and goes on.
        most_skipped: How many steps of a fit may be skipped; one more is an error.
        most_in_a_row: How many steps may be skipped one after the other; one more is an error.
        save_batches: Whether batches are saved, those of the first five such steps.
        detect: Whether every module of both networks is watched, to name the first one that computes such a number.
            This is slow and looks at each batch; `abkd fit --detect` sets it.

    Attributes:
        skipped: The steps that were skipped.

    Raises:
        ValueError: If the policy is unknown, or a bound is below 1.
        FloatingPointError: In training, if the policy is "stop" or a bound is exceeded.

    Example:
        >>> NonFiniteGuard("skip", most_in_a_row=3).skipped
        []
    """

    def __init__(
        self,
        policy: Literal["stop", "skip"] = "stop",
        most_skipped: int = 100,
        most_in_a_row: int = 5,
        save_batches: bool = True,
        detect: bool = False,
    ) -> None:
        check_choice("policy", policy, ("stop", "skip"))
        check_at_least("most_skipped", most_skipped, 1)
        check_at_least("most_in_a_row", most_in_a_row, 1)
        self.policy = policy
        self.most_skipped = most_skipped
        self.most_in_a_row = most_in_a_row
        self.skipped: list[int] = []
        self._in_a_row = 0
        self._judge = StepJudge(save_batches)
        self._judge.detects = detect

    @property
    def detect(self) -> bool:
        """Whether every module is watched."""
        return self._judge.detects

    @detect.setter
    def detect(self, detects: bool) -> None:
        self._judge.detects = detects

    def state_dict(self) -> dict[str, list[int]]:
        """Save the steps that were skipped, if there are any."""
        return {"skipped": list(self.skipped)} if self.skipped else {}

    def load_state_dict(self, state_dict: Mapping[str, list[int]]) -> None:
        """Restore the steps that were skipped."""
        self.skipped = list(state_dict["skipped"])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start afresh, and watch modules if asked to.

        Raises:
            ValueError: If steps should be skipped that the strategy takes itself.
        """
        if self.policy == "skip" and trainer.strategy.handles_gradient_accumulation:
            raise ValueError(
                "Parameter `policy` should be 'stop' where a strategy takes steps of its own. Found `policy = 'skip'` "
                f"with {type(trainer.strategy).__name__}."
            )
        if stage == "fit":
            self.skipped = []
            self._in_a_row = 0
        self._judge.watch_modules(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Watch no more."""
        self._judge.stop_watching()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Watch no more."""
        self._judge.stop_watching()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Keep what a skipped step has to leave as it is."""
        self.begin_batch(pl_module, batch_idx)

    def on_validation_batch_start(self, *unused: object, **others: object) -> None:
        """Watch the modules of a batch of their own."""
        self._judge.begin_evaluated_batch()

    on_test_batch_start = on_validation_batch_start

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how many steps were skipped."""
        if self.skipped:
            rank_zero_info(
                f"Skipped {len(self.skipped)} of {trainer.global_step} optimizer steps, whose numbers were not finite: "
                f"{listed(tuple(self.skipped))}."
            )

    def first_bad_module(self) -> str:
        """Name the first module whose output is not finite, if modules are watched and there is one."""
        return self._judge.first_bad_module() if self.detect else ""

    def begin_fit(self, trainer: Trainer) -> None:
        """Find the folder of the run; all processes have to call this."""
        self._judge.begin_fit(trainer)

    def begin_batch(self, module: LightningModule, batch_idx: int) -> None:
        """Keep the random generators' states and, before a step that may be skipped, the buffers."""
        # To stop, the running means of batch norms are enough; a memory of a loss may be large.
        kept = module if self.policy == "skip" else getattr(module, "student", None)
        if self._looks_at(module, batch_idx):
            self._judge.begin_batch(module.trainer, batch_idx, kept)

    def _looks_at(self, module: LightningModule, batch_idx: int) -> bool:
        every = self.policy == "skip" or self.detect
        return (every or checks.is_watched(module.device, batch_idx)) and not finds_learning_rate(module.trainer)

    def look(
        self,
        module: LightningModule,
        batch: Batch,
        batch_idx: int,
        losses: dict[str, Tensor],
        rows: Callable[[], Rows],
        holds_logits: bool,
    ) -> None:
        """Look at the loss of a micro-batch.

        Args:
            module: The module that trains.
            batch: The batch that its networks saw.
            batch_idx: Its position in the epoch.
            losses: The loss under "loss", and its terms, shape () each.
            rows: Computes the largest entry of the logits at each position.
            holds_logits: Whether `rows` keeps the logits of the batch as long as it lives.

        Raises:
            FloatingPointError: If the loss is not finite and the policy is "stop", on a single process.
        """
        if not self._looks_at(module, batch_idx):
            self._judge.pass_by(module.trainer, losses["loss"])
            return
        look = Look(batch, batch_idx, {name: x.detach() for name, x in losses.items()}, rows)
        # Of several processes, all have to come to the same end.
        stops = self.policy == "stop" and module.trainer.world_size == 1
        self._judge.look(module, look, stops, holds_logits)

    def decide(self, module: LightningModule, optimizer: Optimizer) -> None:
        """Stop before an optimizer step, skip it or let it be taken, as all processes agree.

        Raises:
            FloatingPointError: If a loss or gradient is not finite, and the step may not be skipped.
        """
        self._judge.check_scale(module.trainer)
        said = self._judge.verdict(module, optimizer)
        if said:
            self._skip(module, optimizer, said)
        else:
            self._in_a_row = 0
        self._judge.end_step()

    def _skip(self, module: LightningModule, optimizer: Optimizer, said: str) -> None:
        if self.policy == "stop":
            self._judge.restore()
            raise FloatingPointError(said)
        skipped = len(self.skipped)
        if self._in_a_row == self.most_in_a_row or skipped == self.most_skipped:
            raise FloatingPointError(
                f"{said} Found {skipped} skipped steps, {self._in_a_row} of them just before this one; at most "
                f"{self.most_skipped} may be (`most_skipped`), {self.most_in_a_row} in a row (`most_in_a_row`)."
            )
        self._judge.leave_out(module.trainer, optimizer)
        self.skipped.append(module.global_step)
        self._in_a_row += 1
        module.log("train/skipped_steps", float(skipped + 1), on_step=True, on_epoch=False, batch_size=1)
        rank_zero_warn(f"{said} This optimizer step is skipped, number {skipped + 1} of at most {self.most_skipped}.")

    def holds(self, trainer: Trainer, scheduler: object) -> bool:
        """Return True if a schedule stays where it is, because it counts steps and the last one was skipped."""
        return (
            bool(self.skipped) and self.skipped[-1] == trainer.global_step - 1 and moves_with_steps(trainer, scheduler)
        )


def guard_of(trainer: Trainer) -> NonFiniteGuard | None:
    """Return the guard among a trainer's callbacks, or None."""
    return next((callback for callback in callbacks_of(trainer) if isinstance(callback, NonFiniteGuard)), None)


def skipped_steps(trainer: Trainer) -> int:
    """Return how many of a trainer's steps a guard has skipped, in earlier runs too if this one was resumed."""
    guard = guard_of(trainer)
    return 0 if guard is None else len(guard.skipped)
