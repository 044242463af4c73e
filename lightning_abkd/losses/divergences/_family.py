"""What the members of the α-β family share: the backends that compute them fast."""

import logging
from typing import get_args

import torch
from torch import Tensor

from lightning_abkd._utils import check_choice
from lightning_abkd.kernels import (
    Backend,
    BackendName,
    LogitRows,
    alpha_beta_closed_form,
    alpha_beta_from_logits,
    choose_backend,
    create_backends,
)
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._chunked import Differentiator
from lightning_abkd.losses._divergence import Divergence

_logger = logging.getLogger("lightning_abkd")


class FamilyMember(Divergence):
    """α-β-divergence at exponents that a subclass returns for each row; a backend computes rows and their gradient.

    Args:
        temperature, scale_by_temperature, reduction: See `Divergence`.
        backend: What computes it; "auto" takes the fastest for the logits at hand. See `AlphaBetaDivergence`.

    Raises:
        ValueError: If the backend is unknown or, on the first batch, if it does not support such logits.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: BackendName = "auto",
    ) -> None:
        check_choice("backend", backend, get_args(BackendName))
        super().__init__(temperature, scale_by_temperature, reduction)
        self.backend: BackendName = backend
        self._backends = create_backends(each_row_counts=reduction == "none")
        self._logged_backend: str | None = None

    def exponents_of(self, rows: LogitRows) -> tuple[Tensor, Tensor]:
        """Return α and β of rows, each 0-dimensional or of shape (n,), without a gradient."""
        raise NotImplementedError(f"{type(self).__name__} should define exponents_of(self, rows).")

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Return the function by which the backend computes values and gradient; see `Divergence`."""

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            backend = self.backend_for(student_logits, teacher_logits)
            rows = LogitRows(student_logits, teacher_logits, self.temperature)
            return backend.values_and_gradient(rows, *self.exponents_of(rows), gradient, scale)

        return differentiate

    def backend_for(self, student_logits: Tensor, teacher_logits: Tensor) -> Backend:
        """Choose what computes the divergence of such logits; the first choice and every change of it are logged.

        Args:
            student_logits: Shape (..., V).
            teacher_logits: Shape (..., V).

        Returns:
            The backend that was asked for, or for "auto" the fastest one that supports such logits.

        Raises:
            ValueError: If the backend that was asked for does not support such logits.
        """
        backend = choose_backend(self.backend, student_logits, teacher_logits, self._backends)
        # The compiler is checked first: if it traced the name that was logged, a new name would compile the code again.
        if not torch.compiler.is_compiling() and backend.name != self._logged_backend:
            self._logged_backend = backend.name
            place = f"{student_logits.dtype} on {student_logits.device.type}"
            _logger.info("%s: backend %s for %s.", type(self).__name__, backend.name, place)
        return backend

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
            return super()._values(student_logits, teacher_logits)
        with torch.no_grad():
            exponents = self.exponents_of(LogitRows(student_logits, teacher_logits, self.temperature))
        return alpha_beta_closed_form(student_logits, teacher_logits, *exponents, self.temperature)


class ConstantMember(FamilyMember):
    """α-β-divergence at one pair of exponents, that of `exponents`. Arguments as in `FamilyMember`."""

    is_sum_over_classes = True

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Return α and β, each 0-dimensional."""
        raise NotImplementedError(f"{type(self).__name__} should define exponents(self) -> tuple[Tensor, Tensor].")

    def exponents_of(self, rows: LogitRows) -> tuple[Tensor, Tensor]:
        """Return α and β, which are the same for all rows."""
        return self.exponents()

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return self.backend_for(log_q, log_p).pointwise(log_p, log_q, *self.exponents())

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super()._values(student_logits, teacher_logits)
        rows = LogitRows(student_logits, teacher_logits, self.temperature)
        return self.backend_for(student_logits, teacher_logits).values(rows, *self.exponents())

    def _values_at_once(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor:
        if not self.backend_for(student_logits, teacher_logits).is_one_kernel:
            return super()._values_at_once(student_logits, teacher_logits, mask)
        return alpha_beta_from_logits(student_logits, teacher_logits, *self.exponents(), self.temperature, mask)

    def _is_chunked(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        # One kernel keeps nothing of the logits' size, whichever inputs need a gradient.
        one_kernel = self.backend_for(student_logits, teacher_logits).is_one_kernel
        return not one_kernel and super()._is_chunked(student_logits, teacher_logits)
