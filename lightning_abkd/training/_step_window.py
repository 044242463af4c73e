"""The micro-batches of one optimizer step, and what has to be as it was if the step is not taken."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_abkd.training._evidence import Finding, Look
from lightning_abkd.training._pieces import local_gradients, local_part


class StepWindow:
    """What a guard has seen of the micro-batches of an optimizer step.

    Args:
        module: Module whose buffers are kept, such as the running means of its batch norms; None keeps none.
    """

    def __init__(self, module: nn.Module | None = None) -> None:
        self.looks: list[Look] = []
        self._kept = [] if module is None else [(buffer, buffer.clone()) for buffer in module.buffers()]

    def first_wrong(self) -> Look | None:
        """Return the first micro-batch whose loss is not finite; this waits for the device."""
        return next((look for look in self.looks if bool(look.is_wrong())), None)

    def is_wrong(self, device: torch.device) -> Tensor:
        """Return whether a loss is not finite, as a tensor that is not waited for."""
        if not self.looks:
            return torch.zeros((), dtype=torch.bool, device=device)
        return torch.stack([look.is_wrong() for look in self.looks]).any()

    @torch.no_grad()
    def restore(self) -> None:
        """Set the buffers to what they were before the first micro-batch."""
        for buffer, before in self._kept:
            buffer.copy_(before)


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the gradients of an optimizer's parameters, of each the part that lies in this process."""
    parts = local_gradients(optimizer)
    return [part.coalesce().values() if part.is_sparse else part for part in parts]


def are_wrong(gradients: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return whether the norm of some gradient is not finite, as a tensor that is not waited for.

    The norm is NaN or infinite if an entry is, or if their squares are beyond float32. Gradients that are clipped by
    such a norm become 0, which no loss would show.
    """
    norms: list[Tensor] = []
    for dtypes, sums_in in (((torch.float16, torch.bfloat16), torch.float32), ((torch.float32, torch.float64), None)):
        parts = [x for x in gradients if x.dtype in dtypes]
        norms += torch._foreach_norm(parts, 2.0, sums_in) if parts else []
    if not norms:
        return torch.zeros((), dtype=torch.bool, device=device)
    if len({norm.dtype for norm in norms}) > 1:
        norms = [norm.double() for norm in norms]
    # Norms are not negative, so that their sum is finite if all of them are.
    return ~torch.stack([norm.to(device) for norm in norms]).sum().isfinite()


def finding_in_gradients(named: Iterable[tuple[str, Tensor]]) -> Finding:
    """Return what is wrong with the gradients of parameters: of the first by name whose norm is not finite."""
    for name, parameter in named:
        if parameter.grad is None:
            continue
        entries = local_part(parameter.grad)
        if not bool(are_wrong([entries], entries.device)):
            continue
        kind = "NaN" if bool(entries.isnan().any()) else "inf"
        if bool(entries.isfinite().all()):
            kind = "numbers whose norm is beyond the range of floats"
        return Finding("gradient", f"The gradient of `{name}`", kind)
    return Finding("gradient", "The gradient", "NaN or inf")


def drop_gradients(optimizer: Optimizer, is_scaled: bool) -> None:
    """Let an optimizer's step change nothing: neither weights nor its own state.

    Args:
        optimizer: The optimizer. It passes over parameters without a gradient.
        is_scaled: Whether its gradients are still those of a scaled loss, so that a scaler will look for numbers that
            are not finite and pass over the step itself.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not is_scaled:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.fill_(torch.nan)
