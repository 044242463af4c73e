"""The backend of few vectorised passes on a CPU."""

import torch
from torch import Tensor

from lightning_abkd.kernels._alpha_beta_rows import alpha_beta_rows
from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums
from lightning_abkd.kernels._backend import EagerBackend, has_float64
from lightning_abkd.kernels._logit_rows import LogitRows


class FusedBackend(EagerBackend):
    """Few vectorised passes on a CPU; rows that these cannot compute fall back to the plain operations.

    Sums of powers compute rows that are far apart. `alpha_beta_rows` computes the others, and exponents per row. The
    sums keep buffers, so each divergence has an object of its own. Copies and files leave the buffers out.

    Args:
        each_row_counts: True if each row's value should be accurate, False if only the mean of all rows should be.
    """

    name = "fused"
    requirement = "float32 on a CPU"

    def __init__(self, each_row_counts: bool = False) -> None:
        self._each_row_counts = each_row_counts
        self._numbers: tuple[float, float, float] | None = None
        self._sums: AlphaBetaSums | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the sums out of copies and files."""
        return vars(self) | {"_numbers": None, "_sums": None}

    def supports(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        """Return True for logits on a CPU that are not float64."""
        return student_logits.device.type == "cpu" and not has_float64(student_logits, teacher_logits)

    def values_and_gradient(
        self, rows: LogitRows, alpha: Tensor, beta: Tensor, gradient: Tensor, scale: float | Tensor = 1.0
    ) -> Tensor:
        """Compute the fused form, or the closed form of rows that it cannot compute."""
        values = self._fused(rows, alpha, beta, gradient, scale)
        return super().values_and_gradient(rows, alpha, beta, gradient, scale) if values is None else values

    def values(self, rows: LogitRows, alpha: Tensor, beta: Tensor) -> Tensor:
        """Compute the fused form, or the divergence of rows that it cannot compute."""
        # Training writes into the same buffers, which autograd does not allow for inference tensors.
        with torch.inference_mode(False), torch.no_grad():
            values = self._fused(rows, alpha, beta)
        return super().values(rows, alpha, beta) if values is None else values

    def pointwise(self, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """Compute rows that need no gradient in the fused form, everything else in the plain form."""
        watched = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if not watched and log_q.dim() == 2 and log_p.dtype == log_q.dtype == torch.float32:
            values = alpha_beta_rows(log_p, log_q, alpha, beta)
            if values is not None:
                return values
        return super().pointwise(log_p, log_q, alpha, beta)

    def _fused(
        self,
        rows: LogitRows,
        alpha: Tensor,
        beta: Tensor,
        gradient: Tensor | None = None,
        scale: float | Tensor = 1.0,
    ) -> Tensor | None:
        """Compute rows by sums or term by term; None where both are inaccurate or overflow."""
        if not len(rows.student_logits):
            return rows.student_logits.new_empty(0)
        if alpha.dim() or beta.dim():
            return alpha_beta_rows(rows.log_p, rows.log_q, alpha, beta, gradient, scale / rows.temperature)
        temperature = rows.temperature.item()
        factor = float(scale)
        sums = self._sums_at(alpha.item(), beta.item(), temperature)
        values = None if sums is None else sums(rows.student_logits, rows.teacher_logits, gradient, factor)
        if values is not None:
            return values
        return alpha_beta_rows(rows.log_p, rows.log_q, alpha, beta, gradient, factor / temperature)

    def _sums_at(self, alpha: float, beta: float, temperature: float) -> AlphaBetaSums | None:
        """Return the sums at these numbers, kept while they do not change; None where they would be inaccurate."""
        numbers = (alpha, beta, temperature)
        if self._numbers != numbers:
            self._numbers = numbers
            suits = AlphaBetaSums.suits(alpha, beta)
            self._sums = AlphaBetaSums(alpha, beta, temperature, self._each_row_counts) if suits else None
        return self._sums
