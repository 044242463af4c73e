"""What the members of the α-β family share: the ways to compute them fast."""

import logging
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.kernels import (
    alpha_beta_cross_entropy_rows,
    alpha_beta_from_logits,
    alpha_beta_rows,
    runs_triton,
)
from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums
from lightning_abkd.kernels._closed_form import closed_form, compiled_form
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._chunked import Differentiator
from lightning_abkd.losses._divergence import Divergence, wide

Backend = Literal["auto", "eager", "fused", "triton", "compile"]

_logger = logging.getLogger("lightning_abkd")


class FamilyMember(Divergence):
    """A divergence that is D_αβ at exponents which a subclass gives.

    Args:
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".
        backend: What computes it; all give the same numbers. "auto" takes the fastest that the logits allow and logs
            its choice: "fused" (processors, float32), "triton" (GPUs, float32 arithmetic), else "eager" (plain torch,
            everywhere, in any precision). "compile" has torch.compile make one program of the plain form.

    Raises:
        ValueError: If the backend is unknown, or on the first batch if it cannot do what it is given.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        if backend not in get_args(Backend):
            raise ValueError(
                f"Parameter `backend` should be one of {', '.join(get_args(Backend))}. Found `backend = {backend!r}`."
            )
        super().__init__(temperature, scale_by_temperature, reduction)
        self.backend: Backend = backend
        self._sums: tuple[tuple[float, ...], AlphaBetaSums | None] | None = None
        self._said: str | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the sums out of copies and files: they hold buffers."""
        return vars(self) | {"_sums": None}

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Give α and β, each 0-dimensional."""
        raise NotImplementedError(f"{type(self).__name__} should define exponents(self) -> tuple[Tensor, Tensor].")

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        free = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        if free and log_q.dim() == 2 and self.chosen(log_q, log_p) == "fused" and log_p.dtype == log_q.dtype:
            values = alpha_beta_rows(log_p, log_q, *self.exponents())
            if values is not None:
                return values
        return functional.alpha_beta_divergence(log_p, log_q, *self.exponents())

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Give what the backend has; rows that the fused forms cannot do take the plain one."""
        exponents = self.exponents()

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            backend = self.chosen(student_logits, teacher_logits)
            if backend == "fused":
                values = self._fused(student_logits, teacher_logits, gradient, float(scale))
                if values is not None:
                    return values
            if backend == "triton":
                rows = student_logits, teacher_logits, gradient
                return alpha_beta_cross_entropy_rows(*rows, *exponents, self.temperature, scale)[0]
            form = compiled_form() if backend == "compile" else closed_form
            values, slope = form(student_logits, teacher_logits, *exponents, self.temperature)
            torch.mul(slope, scale, out=gradient)
            return values

        return differentiate

    def chosen(self, student_logits: Tensor, teacher_logits: Tensor) -> Backend:
        """Say what computes the divergence of such logits; the first choice, and each other one, is logged.

        Args:
            student_logits: Shape (..., V).
            teacher_logits: Shape (..., V).

        Returns:
            The backend, never "auto".

        Raises:
            ValueError: If the wanted backend cannot do such logits.
        """
        device = student_logits.device.type
        backend = self.backend
        if backend == "auto":
            order: tuple[Backend, Backend] = ("fused", "eager") if device == "cpu" else ("triton", "eager")
            backend = next(name for name in order if does(name, student_logits, teacher_logits))
        if not does(backend, student_logits, teacher_logits):
            where = {"fused": "a processor", "triton": "a GPU where Triton is installed"}[backend]
            raise ValueError(
                f"The backend {backend!r} computes in float32 on {where}. Found {student_logits.dtype} and "
                f'{teacher_logits.dtype} on `{device}`. Take another, or "auto".'
            )
        if not torch.compiler.is_compiling() and backend != self._said:
            self._said = backend
            _logger.info("%s: backend %s for %s on %s.", type(self).__name__, backend, student_logits.dtype, device)
        return backend

    def _fused(
        self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> Tensor | None:
        """Take sums of powers for rows that are far apart, and the form that never cancels for the others."""
        alpha, beta = self.exponents()
        numbers = (alpha.item(), beta.item(), self.temperature.item())
        if self._sums is None or self._sums[0] != numbers:
            suits = AlphaBetaSums.suits(*numbers[:2])
            self._sums = numbers, AlphaBetaSums(*numbers, each=self.reduction == "none") if suits else None
        sums = self._sums[1]
        if sums is not None and (values := sums(student_logits, teacher_logits, gradient, scale)) is not None:
            return values
        log_p, log_q = (torch.log_softmax(x / numbers[2], -1) for x in (teacher_logits, student_logits))
        return alpha_beta_rows(log_p, log_q, alpha, beta, gradient, scale / numbers[2])

    def _chunkable(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        # The kernel keeps nothing of the logits' size, whatever has a gradient.
        triton = self.chosen(student_logits, teacher_logits) == "triton"
        return not triton and super()._chunkable(student_logits, teacher_logits)

    def _positions(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor:
        if self.chosen(student_logits, teacher_logits) != "triton":
            return super()._positions(student_logits, teacher_logits, mask)
        return alpha_beta_from_logits(student_logits, teacher_logits, *self.exponents(), self.temperature, mask)

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super()._values(student_logits, teacher_logits)
        if self.chosen(student_logits, teacher_logits) == "fused":
            # Training uses the sums' buffers too.
            with torch.inference_mode(False), torch.no_grad():
                values = self._fused(wide(student_logits), wide(teacher_logits))
            if values is not None:
                return values
        return super()._values(student_logits, teacher_logits)


def does(backend: Backend, student_logits: Tensor, teacher_logits: Tensor) -> bool:
    """Tell whether a backend can do such logits."""
    single = torch.float64 not in (student_logits.dtype, teacher_logits.dtype)
    if backend == "fused":
        return single and student_logits.device.type == "cpu"
    return backend != "triton" or (single and runs_triton(student_logits.device))
