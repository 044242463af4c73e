"""An optimizer step that is open when a checkpoint is written, within an accumulation of gradients."""

from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from lightning_abkd.training._step_mean import StepMean

State = dict[str, object]


def step_state(module: LightningModule, trainer: Trainer, step: StepMean) -> State:
    """Return what the next optimizer step needs: the unit, and in an open step the counts and gradients so far.

    All ranks call it, unless one of them has been interrupted: that one saves no open step, because its gradients are
    not those of the others.
    """
    if trainer.interrupted and trainer.world_size > 1:
        return {}
    state: State = {"step": step.state(trainer), "world_size": trainer.world_size}
    if step.is_open:
        named = module.named_parameters()
        state["gradients"] = {name: _mean(p.grad, trainer).cpu() for name, p in named if p.grad is not None}
    return state


def restore_step(state: Mapping[str, object], module: LightningModule, trainer: Trainer, step: StepMean) -> None:
    """Go on with the optimizer step of a checkpoint."""
    numbers = state.get("step")
    if isinstance(numbers, dict):
        step.go_on(numbers, trainer.is_global_zero)
    gradients = state.get("gradients")
    if not isinstance(gradients, dict):
        return
    # What is a mean over some ranks becomes one over others.
    scale = float(str(state["world_size"])) / trainer.world_size
    for name, parameter in module.named_parameters():
        gradient = gradients.get(name)
        if isinstance(gradient, Tensor):
            parameter.grad = _as_part_of(parameter, gradient.to(parameter.device, parameter.dtype) * scale)


def _mean(gradient: Tensor, trainer: Trainer) -> Tensor:
    if isinstance(gradient, DTensor):
        # The ranks have exchanged it already, and each has a part of it.
        return gradient.full_tensor()
    if trainer.world_size == 1:
        return gradient.detach().clone()
    mean: Tensor = trainer.strategy.reduce(gradient.detach().clone(), reduce_op="mean")
    return mean


def _as_part_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    if not isinstance(parameter, DTensor):
        return gradient
    with torch.no_grad():
        return distribute_tensor(gradient, parameter.device_mesh, parameter.placements)
