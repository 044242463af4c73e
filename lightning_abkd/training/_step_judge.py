"""Whether the numbers of an optimizer step are finite, and what to say if they are not."""

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_abkd.training._evidence import Look
from lightning_abkd.training._lightning import hold_averages
from lightning_abkd.training._module_watch import ModuleWatch
from lightning_abkd.training._non_finite_report import NonFiniteReport, networks_of
from lightning_abkd.training._saved_batch import generator_states
from lightning_abkd.training._step_window import (
    StepWindow,
    are_wrong,
    drop_gradients,
    finding_in_gradients,
    gradients_of,
)
from lightning_abkd.training._wrong_ranks import first_wrong_rank


class StepJudge:
    """Looks at the micro-batches of one step after the other.

    Args:
        saves_batches: Whether batches that went wrong are saved.

    Attributes:
        detects: Whether modules are watched.
    """

    def __init__(self, saves_batches: bool) -> None:
        self.detects = False
        self._report = NonFiniteReport(saves_batches)
        self._watch = ModuleWatch(dict)
        self._window = StepWindow()
        self._generators: dict[str, Tensor] = {}

    def begin_fit(self, trainer: Trainer) -> None:
        """Find the folder of the run; all processes have to call this."""
        self._report.begin(trainer)

    def watch_modules(self, module: LightningModule) -> None:
        """Watch the modules of both networks, if asked to."""
        if self.detects:
            self._watch = ModuleWatch(lambda: networks_of(module))
            self._watch.start()

    def stop_watching(self) -> None:
        """Watch no modules any more."""
        self._watch.stop()

    def begin_evaluated_batch(self) -> None:
        """Forget the modules of the batch before."""
        if self.detects:
            self._watch.begin()

    def begin_batch(self, module: LightningModule, batch_idx: int, keeps_buffers: bool) -> None:
        """Keep the random generators' states and, before a step that may be left out, the buffers."""
        if batch_idx % module.trainer.accumulate_grad_batches == 0:
            self._window = StepWindow(module if keeps_buffers else None)
        self._generators = generator_states()
        self.begin_evaluated_batch()

    def look(self, module: LightningModule, look: Look, stops: bool, holds_logits: bool) -> None:
        """Look at a micro-batch; at once if a wrong one stops, if modules are watched, or on a CPU.

        Raises:
            FloatingPointError: If it is wrong and that stops.
        """
        look.generators = self._generators
        self._window.looks.append(look)
        if not (stops or self.detects or module.device.type == "cpu"):
            if holds_logits:
                look.compute_rows()
        elif not bool(look.is_wrong()):
            look.release()
        else:
            look.module = self._watch.first_output()
            look.finding()
            if stops:
                raise FloatingPointError(self._said(module))

    def first_bad_module(self) -> str:
        """Name the first module whose output is not finite, if modules are watched and there is one."""
        return self._watch.first_output()

    def verdict(self, module: LightningModule, optimizer: Optimizer) -> str:
        """Return what is wrong with the step, the same in all processes; an empty text if nothing is."""
        trainer = module.trainer
        if not self._window.looks:
            return ""
        device = trainer.strategy.root_device
        # Gradients that overflow are the business of a gradient scaler, if there is one.
        gradients = [] if trainer.scaler is not None else gradients_of(optimizer)
        rank = first_wrong_rank(trainer, self._window.is_wrong(device), are_wrong(gradients, device))
        if rank is None:
            return ""
        said = self._said(module) if trainer.global_rank == rank else ""
        said = trainer.strategy.broadcast(said, src=rank)
        return said

    def leave_out(self, trainer: Trainer, optimizer: Optimizer) -> None:
        """Let the step change nothing: weights, their averages, buffers, the optimizer's state."""
        self._window.restore()
        handles_scale = bool(getattr(optimizer, "_step_supports_amp_scaling", False))
        drop_gradients(optimizer, trainer.scaler is not None and handles_scale)
        hold_averages(trainer)

    def end_step(self) -> None:
        """Forget the micro-batches of the step."""
        self._window = StepWindow()

    def _said(self, module: LightningModule) -> str:
        wrong = self._window.first_wrong()
        if wrong is not None:
            return self._report.of_loss(module, wrong, self.detects)
        finding = finding_in_gradients(module.named_parameters())
        first = self._watch.first_gradient()
        return self._report.of_gradient(module, self._window.looks, finding, first, self.detects)
