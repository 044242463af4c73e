"""The base class of all divergences between the output distributions of teacher and student."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from lightning_abkd._utils import check_positive
from lightning_abkd.distributed import is_sharded
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.kernels import log_softmax_at
from lightning_abkd.losses._base import (
    DistillationLoss,
    Reduction,
    check_logits,
    check_reduction,
    reduce,
    without_masked,
)
from lightning_abkd.losses._chunked import Chunked, Differentiator, chunks
from lightning_abkd.losses._renamed import forward_old_methods
from lightning_abkd.losses._sharded import sharded_divergence


class Divergence(DistillationLoss):
    r"""Distillation loss made of one divergence per position.

    It adds what all divergences share: temperature, the factor T², promotion to float32, the mask and the reduction:

    .. math::

        L = \frac{T^2}{|M|} \sum_{i \in M} D\big( \mathrm{softmax}(y_i / T) \,\|\, \mathrm{softmax}(z_i / T) \big)

    where:

    - z, y -> `student_logits`, `teacher_logits` of `forward`; M are the positions where its `mask` is True.
    - D -> `pointwise`, of the teacher's and the student's log-probabilities at the temperature.
    - T -> `temperature`: greater than 0. The paper (ABKD) uses 4 for CIFAR-100 and 1 for language models.
    - The factor T² applies if `scale_by_temperature`, the division by the number of positions if `reduction` is "mean".

    **The only method that an author defines is `pointwise(log_p, log_q)`.** Everything else follows from it. Logits are
    processed in chunks of rows, value and gradient in one pass. The gradient is the only tensor of the logits' size
    that is kept. The other methods compute the same numbers faster, or serve callers that hold logits in parts:

    - `differentiator` returns the function that computes values and gradient of some rows. The default lets autograd
      differentiate `pointwise`; the α-β family puts its backends here.
    - `_values` computes values from logits, for rows whose gradient is not needed. The default calls `pointwise`.
    - `_values_at_once` computes the values of a whole batch without chunks, where `_is_chunked` is False: when the
      teacher or a parameter of the divergence receives a gradient, when code is compiled, and for a single kernel.
    - `row_values` computes values and gradient of rows without autograd, for losses that never hold all logits.
    - `is_sum_over_classes` says that `pointwise` adds up one term for each class, none of them negative. Such a
      divergence is computed from logits that are sharded over the vocabulary, and no process ever holds a whole row.
    - `on_loss` receives the loss of each training batch, for divergences that change as training goes on.

    Args:
        temperature: T > 0; both logits are divided by it.
        scale_by_temperature: Multiply by T² (Hinton et al. 2015, arXiv 1503.02531), which keeps the size of gradients
            as T grows. ABKD itself does not.
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
    is_sum_over_classes: ClassVar[bool] = False
    _RENAMED: ClassVar[Mapping[str, str]] = {"of_rows": "is_rowwise_mean", "rows": "row_values", "observe": "on_loss"}

    def __init_subclass__(cls) -> None:
        """Accept overrides of old method names, and forward calls of them to the new names."""
        super().__init_subclass__()
        if "pointwise" in vars(cls) and "is_sum_over_classes" not in vars(cls):
            cls.is_sum_over_classes = False
        forward_old_methods(cls, cls._RENAMED)

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

        Logits may lie on several processes, as DTensors: sharded over positions, or over classes (tensor-parallel
        vocabularies) where `is_sum_over_classes`. Logits of the other network may then be whole on each process. The
        reduction is that over the positions of all processes, and the loss is the same on all of them.

        Args:
            student_logits: Shape (..., V), any floating dtype.
            teacher_logits: Shape (..., V).
            mask: Boolean, shape (...), True where a position counts; None counts all.

        Returns:
            Scalar, or shape (...) for reduction "none", a DTensor where positions are sharded; masked positions give 0.

        Raises:
            ValueError: If shapes or shardings do not fit each other, or the divergence needs whole rows.
            TypeError: If the mask is not boolean.
        """
        if is_sharded(student_logits) or is_sharded(teacher_logits):
            loss = sharded_divergence(self, student_logits, teacher_logits, mask)
        else:
            loss = self._local_loss(student_logits, teacher_logits, mask)
        if self.training:
            self.on_loss(loss.detach())
        return loss

    def _local_loss(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor:
        check_logits(student_logits, teacher_logits, mask)
        if self._is_chunked(student_logits, teacher_logits):
            loss: Tensor = Chunked.apply(student_logits, teacher_logits, mask, self)
            return loss
        values = self._values_at_once(student_logits, teacher_logits, mask)
        values = values * self.temperature.square() if self.scale_by_temperature else values
        return reduce(values, mask, self.reduction)

    def on_loss(self, loss: Tensor) -> None:
        """Receive the detached loss of a training batch; does nothing unless a divergence changes in training."""

    @property
    def is_rowwise_mean(self) -> bool:
        """Whether it is the mean of one value per position, so that it can be computed without all logits at once."""
        return type(self).forward is Divergence.forward and self.reduction == "mean" and not self.is_learnt

    @property
    def is_learnt(self) -> bool:
        """Whether the optimizer trains a parameter of it."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def row_values(self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None = None) -> Tensor:
        """Compute the values (n,) of rows and write their gradient with respect to the student's logits.

        Args:
            student_logits: Shape (n, V), float32 or wider; not tracked by autograd.
            teacher_logits: Shape (n, V), same dtype.
            gradient: Shape (n, V), overwritten; None computes values alone.

        Returns:
            Values of shape (n,), including T² where the divergence is scaled by it.
        """
        values = student_logits.new_empty(len(student_logits))
        factor = self.temperature.square() if self.scale_by_temperature else None
        differentiate = self.differentiator(1.0 if factor is None else factor)
        with torch.autocast(student_logits.device.type, enabled=False), torch.no_grad():
            for rows in chunks(len(student_logits), student_logits.shape[-1], student_logits.device.type):
                if gradient is None:
                    values[rows] = self._values(student_logits[rows], teacher_logits[rows])
                else:
                    values[rows] = differentiate(student_logits[rows], teacher_logits[rows], gradient[rows])
        return values if factor is None else values.mul_(factor)

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Return the function that computes the values (n,) of a chunk of rows and writes their gradient.

        Its arguments have shape (n, V) and are float32 or wider: student logits, teacher logits, and a tensor that it
        overwrites with `scale` times the gradient with respect to the student's logits. A subclass may return a fused
        kernel instead.
        """

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            with torch.enable_grad():
                student_logits = student_logits.detach().requires_grad_()
                values = self._values(student_logits, teacher_logits)
                gradient.copy_(torch.autograd.grad(values.sum(), student_logits)[0]).mul_(scale)
            return values.detach()

        return differentiate

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Compute the values (...) of logits (..., V); they have a gradient if autograd is enabled."""
        log_p = log_softmax_at(promote_to_float32(teacher_logits), self.temperature)
        log_q = log_softmax_at(promote_to_float32(student_logits), self.temperature)
        values = self.pointwise(log_p, log_q)
        if values.shape != log_q.shape[:-1]:
            raise ValueError(
                f"`{type(self).__name__}.pointwise` should return one value per position, here of shape "
                f"{tuple(log_q.shape[:-1])}. Found shape {tuple(values.shape)}. Sum over the last dimension."
            )
        return values

    def _values_at_once(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the values (...) of a whole batch; those of masked positions are never used."""
        return self._values(without_masked(student_logits, mask), without_masked(teacher_logits, mask))

    def _is_chunked(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        """Return True if only the student's logits need a gradient; compilers fuse better without chunks."""
        return not (teacher_logits.requires_grad or self.is_learnt or torch.compiler.is_compiling())

    def extra_repr(self) -> str:
        """Return the live numbers and the options as text."""
        numbers = [
            f"{name}={buffer.item():.6g}" for name, buffer in self.named_buffers(recurse=False) if not buffer.dim()
        ]
        return ", ".join(
            [*numbers, f"scale_by_temperature={self.scale_by_temperature}", f"reduction={self.reduction!r}"]
        )


forward_old_methods(Divergence, Divergence._RENAMED)
