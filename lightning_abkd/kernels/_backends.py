"""The list of backends of the α-β-divergence, and the choice of one; all give the same numbers.

A new backend is a subclass of `Backend` and an entry in `create_backends`.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from lightning_abkd._utils import check_choice
from lightning_abkd.kernels._alpha_beta_cross_entropy import alpha_beta_cross_entropy_rows
from lightning_abkd.kernels._alpha_beta_op import runs_triton
from lightning_abkd.kernels._backend import Backend, CompileBackend, EagerBackend, has_float64
from lightning_abkd.kernels._fused_backend import FusedBackend
from lightning_abkd.kernels._logit_rows import LogitRows

BackendName = Literal["auto", "eager", "fused", "triton", "compile"]
_NAMES = get_args(BackendName)


class TritonBackend(Backend):
    """One Triton kernel, in float32 arithmetic."""

    name = "triton"
    requirement = "float32 on a GPU where Triton is installed"
    is_one_kernel = True

    def supports(self, student_logits: Tensor, teacher_logits: Tensor) -> bool:
        """Return True for logits that are not float64, where Triton runs."""
        return runs_triton(student_logits.device) and not has_float64(student_logits, teacher_logits)

    def values_and_gradient(
        self, rows: LogitRows, alpha: Tensor, beta: Tensor, gradient: Tensor, scale: float | Tensor = 1.0
    ) -> Tensor:
        """Run the kernel over the rows."""
        return alpha_beta_cross_entropy_rows(
            rows.student_logits, rows.teacher_logits, gradient, alpha, beta, rows.temperature, weight=scale
        )[0]


def create_backends(each_row_counts: bool = False) -> tuple[Backend, ...]:
    """Create one object per backend, in the order in which "auto" tries them.

    Args:
        each_row_counts: True if each row's value should be accurate to 1e-5 of itself (reduction "none"); False if only
            the mean of all rows should be, to 1e-4 at worst.

    Returns:
        Objects for one divergence, which may keep buffers between calls.

    Example:
        >>> [backend.name for backend in create_backends()]
        ['fused', 'triton', 'eager', 'compile']
    """
    return FusedBackend(each_row_counts), TritonBackend(), EagerBackend(), CompileBackend()


def choose_backend(
    name: BackendName, student_logits: Tensor, teacher_logits: Tensor, backends: Sequence[Backend]
) -> Backend:
    """Return the backend of a name, or for "auto" the first that supports such logits.

    Args:
        name: "auto" or the name of a backend.
        student_logits: Shape (..., V).
        teacher_logits: Shape (..., V).
        backends: What `create_backends` returned.

    Returns:
        The backend.

    Raises:
        ValueError: If the name is unknown, or the backend of that name does not support such logits.

    Example:
        >>> import torch
        >>> student, teacher, gradient = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.empty(1, 2)
        >>> backend = choose_backend("auto", student, teacher, create_backends())
        >>> rows = LogitRows(student, teacher, temperature=torch.tensor(1.0))
        >>> value = backend.values_and_gradient(rows, torch.tensor(1.0), torch.tensor(0.0), gradient)
        >>> backend.name, round(value.item(), 4), [round(x, 4) for x in gradient[0].tolist()]
        ('fused', 0.4338, [0.3808, -0.3808])
    """
    check_choice("backend", name, _NAMES)
    candidates = [backend for backend in backends if name in ("auto", backend.name)]
    for backend in candidates:
        if backend.supports(student_logits, teacher_logits):
            return backend
    raise ValueError(
        f"The backend {name!r} needs {candidates[0].requirement}. Found {student_logits.dtype} and "
        f'{teacher_logits.dtype} on `{student_logits.device.type}`. Choose another one, or "auto".'
    )
