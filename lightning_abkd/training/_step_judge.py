"""Whether the numbers of an optimizer step are finite, and what to say if they are not."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
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

# That of fairseq; a scale starts at 65,536 and is halved at each overflow.
_SMALLEST_SCALE = 1e-4


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
        # Step of the first loss that was not finite among those that nothing waited for, -1 for none.
        self._first: Tensor | None = None

    def begin_fit(self, trainer: Trainer) -> None:
        """Find the folder of the run; all processes have to call this."""
        self._report.begin(trainer)
        self._first = None

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

    def begin_batch(self, trainer: Trainer, batch_idx: int, kept: nn.Module | None) -> None:
        """Keep the random generators' states and, before a step, the buffers of a module."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._window = StepWindow(kept)
        self._generators = generator_states()
        self.begin_evaluated_batch()

    def pass_by(self, trainer: Trainer, loss: Tensor) -> None:
        """Keep the step of the first loss that is not finite, on the device, for when a later one is looked at.

        Its gradient is not looked at either, unless another process waits for a verdict on what it saw before.
        """
        if trainer.world_size == 1:
            self.end_step()
        before = torch.full((), -1, device=loss.device) if self._first is None else self._first
        self._first = torch.where((before < 0) & ~loss.detach().isfinite(), trainer.global_step, before)

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
                self.restore()
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
        agreed: str = trainer.strategy.broadcast(said, src=rank)
        return agreed

    def check_scale(self, trainer: Trainer) -> None:
        """Raise FloatingPointError if a gradient scaler has found gradients to overflow at every scale."""
        if trainer.scaler is None or not self._window.looks:
            return
        scale = float(trainer.scaler.get_scale())
        if scale < _SMALLEST_SCALE:
            raise FloatingPointError(
                f"The gradient scaler of trainer.precision {trainer.precision} should find a scale at which gradients "
                f"do not overflow. Found it at {scale:.3g} at step {trainer.global_step}, after one step after the "
                "other that it has skipped. Set trainer.precision to bf16-mixed, or lower the learning rate."
            )

    def restore(self) -> None:
        """Set the buffers to what they were before the step."""
        self._window.restore()

    def leave_out(self, trainer: Trainer, optimizer: Optimizer) -> None:
        """Let the step change nothing: weights, their averages, buffers, the optimizer's state."""
        self.restore()
        handles_scale = bool(getattr(optimizer, "_step_supports_amp_scaling", False))
        drop_gradients(optimizer, trainer.scaler is not None and handles_scale)
        hold_averages(trainer)

    def end_step(self) -> None:
        """Forget the micro-batches of the step."""
        self._window = StepWindow()

    def _said(self, module: LightningModule) -> str:
        wrong = self._window.first_wrong()
        if wrong is not None:
            return f"{self._report.of_loss(module, wrong, self.detects)}{self._first_passed_by()}"
        finding = finding_in_gradients(module.named_parameters())
        first = self._watch.first_gradient()
        return self._report.of_gradient(module, self._window.looks, finding, first, self.detects)

    def _first_passed_by(self) -> str:
        first = -1 if self._first is None else int(self._first)
        return f" The first loss that is not finite is that of step {first}." if first >= 0 else ""
