"""The base class of all backends of the α-β-divergence, and the two that use plain torch operations."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels._closed_form import closed_form_of_log_probabilities, compiled_form
from lightning_abkd.kernels._logit_rows import LogitRows


def has_float64(*tensors: Tensor) -> bool:
    """Return True if a tensor has more precision than the float32 of fused kernels."""
    return any(tensor.dtype == torch.float64 for tensor in tensors)


class Backend(ABC):
    """One way to compute the α-β-divergence of rows and its gradient.

    Attributes:
        name: Its name for `backend=`.
        requirement: The precision and the device that it needs, as error messages state them.
        is_one_kernel: Whether one kernel reads whole batches and their mask
            (`lightning_abkd.kernels.alpha_beta_from_logits`) and keeps nothing of the logits' size, so that nothing is
            gained by chunks of rows.

    Example: see `choose_backend`.
    """

    name: str
    requirement: str
    is_one_kernel = False

    def supports(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        """Return True if it can compute the divergence of logits of these dtypes and devices, whatever their shape."""
        return True

    @abstractmethod
    def values_and_gradient(
        self, rows: LogitRows, alpha: Tensor, beta: Tensor, gradient: Tensor, scale: float | Tensor = 1.0
    ) -> Tensor:
        """Compute the values of rows and write their gradient, without autograd.

        Args:
            rows: Rows of logits.
            alpha: α, 0-dimensional or one per row, shape (n,).
            beta: β, as `alpha`.
            gradient: Shape (n, V), overwritten with the gradient with respect to the student's logits.
            scale: Factor of the gradient, a number or 0-dimensional.

        Returns:
            Values, shape (n,), without the factor.
        """

    def values(self, rows: LogitRows, alpha: Tensor, beta: Tensor) -> Tensor:
        """Compute the values (n,) of rows alone; arguments as in `values_and_gradient`."""
        return alpha_beta_divergence(rows.log_p, rows.log_q, alpha, beta)

    def pointwise(self, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """Compute the values (...) of log-probabilities (..., V); they have a gradient if autograd is enabled."""
        return alpha_beta_divergence(log_p, log_q, alpha, beta)


class EagerBackend(Backend):
    """Plain torch operations, on any device and in any precision."""

    name = "eager"
    requirement = "any precision on any device"

    def values_and_gradient(
        self, rows: LogitRows, alpha: Tensor, beta: Tensor, gradient: Tensor, scale: float | Tensor = 1.0
    ) -> Tensor:
        """Compute the closed form."""
        values, slope = self._closed_form(rows, alpha, beta)
        torch.mul(slope, scale, out=gradient)
        return values

    def _closed_form(self, rows: LogitRows, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        return closed_form_of_log_probabilities(rows.log_p, rows.log_q, alpha, beta, rows.temperature)


class CompileBackend(EagerBackend):
    """The plain operations compiled by torch.compile; values without a gradient are not compiled."""

    name = "compile"

    def _closed_form(self, rows: LogitRows, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        return compiled_form()(rows.student_logits, rows.teacher_logits, alpha, beta, rows.temperature)
