"""The base class of all divergences between the output distributions of teacher and student."""

import torch
from torch import Tensor

from lightning_abkd.losses._base import (
    DistillationLoss,
    Reduction,
    check_logits,
    check_positive,
    check_reduction,
    reduce,
)
from lightning_abkd.losses._chunked import Chunked, Differentiator, chunks


class Divergence(DistillationLoss):
    """Distillation loss made of one divergence per position.

    Owns what all divergences share: temperature, the factor T², promotion to float32, the mask and the reduction. A
    subclass gives `pointwise(log_p, log_q)` and nothing else. Rows are worked off in chunks, value and gradient in one
    pass, so that beside logits and gradient nothing of their size is kept.

    Args:
        temperature: T > 0; both logits are divided by it. The paper uses 4 for CIFAR-100 and 1 for language.
        scale_by_temperature: Multiply by T² (Hinton et al. 2015), which keeps the size of gradients as T grows. ABKD
            itself does not.
        reduction: "mean" over the counted positions, "sum" over them, or "none".

    Raises:
        ValueError: If `temperature` is not finite and positive or `reduction` is unknown.

    Example:
        >>> import torch
        >>> class LogCosh(Divergence):
        ...     def pointwise(self, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        ...         return (log_p - log_q).cosh().log().sum(-1)
        >>> LogCosh(temperature=2.0)(torch.zeros(3, 5), torch.zeros(3, 5)).item()
        0.0
    """

    temperature: Tensor

    def __init__(
        self, temperature: float = 1.0, scale_by_temperature: bool = False, reduction: Reduction = "mean"
    ) -> None:
        check_positive("temperature", temperature)
        check_reduction(reduction)
        super().__init__()
        self.hyperparameter("temperature", temperature)
        self.scale_by_temperature = scale_by_temperature
        self.reduction: Reduction = reduction

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position.

        Args:
            log_p: Teacher log-probabilities at the temperature, shape (..., V), at least float32.
            log_q: Student log-probabilities, same shape and dtype.

        Returns:
            One value per position, shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} should define pointwise(self, log_p, log_q) -> Tensor.")

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the divergence of a batch.

        Args:
            student_logits: Shape (..., V), any floating dtype.
            teacher_logits: Shape (..., V).
            mask: Boolean, shape (...), True where a position counts; None counts all.

        Returns:
            Scalar, or shape (...) for reduction "none"; masked positions give 0.

        Raises:
            ValueError: If shapes do not fit each other.
            TypeError: If the mask is not boolean.
        """
        check_logits(student_logits, teacher_logits, mask)
        loss: Tensor
        if self._chunkable(student_logits, teacher_logits):
            loss = Chunked.apply(student_logits, teacher_logits, mask, self)
        else:
            values = self._positions(student_logits, teacher_logits, mask)
            values = values * self.temperature.square() if self.scale_by_temperature else values
            loss = reduce(values, mask, self.reduction)
        if self.training:
            self.observe(loss.detach())
        return loss

    def observe(self, loss: Tensor) -> None:
        """Take note of the loss of a training batch; for divergences that change as training goes on."""

    @property
    def of_rows(self) -> bool:
        """Whether it is the mean of one value per position, so that it may be computed without all logits at once."""
        learnt = any(parameter.requires_grad for parameter in self.parameters())
        return type(self).forward is Divergence.forward and self.reduction == "mean" and not learnt

    def rows(self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None = None) -> Tensor:
        """Compute the values (n,) of rows and write their gradient by the student's logits.

        Args:
            student_logits: Shape (n, V), float32 or wider, without the autograd's notice.
            teacher_logits: Shape (n, V), same dtype.
            gradient: Shape (n, V), overwritten; None computes values alone.

        Returns:
            Values of shape (n,), T² included where the divergence is scaled by it.
        """
        values = student_logits.new_empty(len(student_logits))
        factor = self.temperature.square() if self.scale_by_temperature else None
        differentiate = self.differentiator(1.0 if factor is None else factor)
        with torch.autocast(student_logits.device.type, enabled=False), torch.no_grad():
            for chunk in chunks(len(student_logits), student_logits.shape[-1], student_logits.device.type):
                pair = student_logits[chunk], teacher_logits[chunk]
                values[chunk] = self._values(*pair) if gradient is None else differentiate(*pair, gradient[chunk])
        return values if factor is None else values.mul_(factor)

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Give the function that computes the values (n,) of a chunk of rows and writes their gradient.

        Its arguments have shape (n, V) and are float32 or wider: student logits, teacher logits, and the gradient by
        the student's logits, which it overwrites, times `scale`. A fused kernel may stand in here.
        """

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            with torch.enable_grad():
                student_logits = student_logits.detach().requires_grad_()
                values = self._values(student_logits, teacher_logits)
                gradient.copy_(torch.autograd.grad(values.sum(), student_logits)[0]).mul_(scale)
            return values.detach()

        return differentiate

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        log_p = torch.log_softmax(wide(teacher_logits) / self.temperature, -1)
        return self.pointwise(log_p, torch.log_softmax(wide(student_logits) / self.temperature, -1))

    def _positions(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the values (...) at once; those of masked positions are never used."""
        return self._values(student_logits, teacher_logits)

    def _chunkable(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        """Tell whether only the student's logits need a gradient; compilers fuse better without chunks."""
        learnt = any(parameter.requires_grad for parameter in self.parameters())
        return not (teacher_logits.requires_grad or learnt or torch.compiler.is_compiling())

    def extra_repr(self) -> str:
        """Show the live numbers and the options."""
        numbers = [
            f"{name}={buffer.item():.6g}" for name, buffer in self.named_buffers(recurse=False) if not buffer.dim()
        ]
        return ", ".join(
            [*numbers, f"scale_by_temperature={self.scale_by_temperature}", f"reduction={self.reduction!r}"]
        )


def wide(tensor: Tensor) -> Tensor:
    """Promote to at least float32."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
