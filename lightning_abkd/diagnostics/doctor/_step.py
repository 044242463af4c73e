"""The real steps: what Lightning does with the first batches, watched from hooks."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_abkd.diagnostics.doctor._cost import Kept, bytes_of_optimizer, kept_tensors
from lightning_abkd.diagnostics.doctor._patient import Patient
from lightning_abkd.diagnostics.doctor._rate import Trial, trial
from lightning_abkd.diagnostics.doctor._schedule import Course, course_of
from lightning_abkd.diagnostics.doctor._state import State
from lightning_abkd.diagnostics.doctor._teacher import watched_modes
from lightning_abkd.training import Batch, DistillationModule, checkpoint_content

# The first one warms up; the others are timed.
_STEPS = 3


class Examined(Exception):
    """Ends a fit of which enough has been seen."""


@dataclass
class Record:
    """What was seen of the real steps.

    Args:
        patient: The module with the first batch; None before that.
        micro_batches: Batches of an optimizer step.
        course: What schedules set at both ends of the training, and its length.
        modes: Names of the teacher's parts that ran in train mode.
        kept: What the forward pass kept for the backward pass.
        optimizer: Bytes of the optimizer's state.
        loss: Loss of the first step.
        gradients: Whether any gradient has reached the student; None before the first backward pass.
        norms: Norm of each term's gradient.
        checkpoint: What a checkpoint would hold; None before the first step.
        seconds: Time of a batch; None if there was only one.
        trial: The steps at the largest rate.
    """

    patient: Patient | None = None
    micro_batches: int = 1
    course: Course = field(default_factory=lambda: Course({}, {}, float("inf"), ""))
    modes: set[str] = field(default_factory=set)
    kept: Kept = field(default_factory=Kept)
    optimizer: int = 0
    loss: float | None = None
    gradients: bool | None = None
    norms: Mapping[str, float] = field(default_factory=dict)
    checkpoint: Mapping[str, object] | None = None
    seconds: float | None = None
    trial: Trial | None = None

    def rate_of(self, error: FloatingPointError) -> Trial:
        """Return the trial of real steps of which one stopped with an error."""
        rate = 0.0 if self.patient is None else float(self.patient.trainer.optimizers[0].param_groups[0]["lr"])
        return Trial(rate, [self.loss or 0.0], stopped=str(error).partition(". ")[0])


class Probe(Callback):
    """Examines the module at its first batch, and ends the fit after a few steps.

    Args:
        examine: Called with the patient and the record before the first step.
        inspect: Called with the record after the first step, while the trainer still is in its fit.
    """

    def __init__(self, examine: Callable[[Patient, Record], None], inspect: Callable[[Record], None]) -> None:
        self.record = Record()
        self._examine = examine
        self._inspect = inspect
        self._watching = ExitStack()
        self._start: State | None = None
        self._starts: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let each batch be a step, so that a step takes no longer than it must."""
        self.record.micro_batches = trainer.accumulate_grad_batches
        self.record.course = course_of(trainer)
        trainer.accumulate_grad_batches = 1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Examine the module before the first step, and watch it."""
        if batch_idx or not isinstance(pl_module, DistillationModule):
            self._starts.append(time.perf_counter())
            return
        self._start = State.of(pl_module)
        self.record.patient = Patient(pl_module, trainer, batch)
        self._examine(self.record.patient, self.record)
        self._watching.enter_context(watched_modes(pl_module.teacher, self.record.modes))
        self._watching.enter_context(kept_tensors(self.record.kept))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Stop watching the first forward pass."""
        self._watching.close()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See whether gradients have arrived."""
        if self.record.gradients is None and isinstance(pl_module, DistillationModule):
            self.record.gradients = any(x.grad is not None for x in pl_module.student.parameters())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Look at the first step, and end the fit after the last one."""
        if not isinstance(pl_module, DistillationModule):
            raise Examined
        if batch_idx == 0:
            self._look(trainer, pl_module, outputs)
        if batch_idx + 1 < min(_STEPS, trainer.num_training_batches):
            return
        self._time()
        if self._start is not None and self.record.patient is not None:
            self._start.restore(pl_module)
            self._try_rate(trainer, pl_module, self.record.patient)
        raise Examined

    def _try_rate(self, trainer: Trainer, module: DistillationModule, patient: Patient) -> None:
        start = time.perf_counter()
        self.record.trial = found = trial(trainer, module, patient.batch)
        if self.record.seconds is None and found is not None and len(found.losses) > 1:
            self.record.seconds = (time.perf_counter() - start) / len(found.losses)

    def _look(self, trainer: Trainer, module: DistillationModule, outputs: object) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        self.record.loss = float(loss) if isinstance(loss, Tensor) else None
        self.record.norms = dict(module.gradient_norms)
        self.record.optimizer = sum(bytes_of_optimizer(each) for each in trainer.optimizers)
        self.record.checkpoint = checkpoint_content(trainer)
        self._inspect(self.record)

    def _time(self) -> None:
        """Compute the time of a batch from the starts of all but the first one."""
        if self._starts:
            self.record.seconds = (time.perf_counter() - self._starts[0]) / len(self._starts)

    def finish(self) -> None:
        """Stop watching."""
        self._watching.close()
