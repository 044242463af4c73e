"""The Triton kernel of the α-β-divergence as operators for autograd and torch.compile.

All logits here have two dimensions. Exponents, temperatures, weights and masks have one, of length N; the numbers have
a stride of 0 where all rows share one.
"""

import os
from importlib.util import find_spec
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lightning_abkd._utils import Context

_INSTALLED = find_spec("triton") is not None
_LARGEST_BLOCK = 2048
_ELEMENTS_PER_WARP = 256


def runs_triton(device: torch.device) -> bool:
    """Return True if Triton kernels run on a device: on a GPU, or on a CPU in Triton's interpreter.

    The interpreter is slow and made for tests. TRITON_INTERPRET=1 in the environment, set before Triton is imported,
    selects it. Triton comes with torch's builds for GPUs.

    Args:
        device: Where the logits are.

    Returns:
        Whether the kernels run there.

    Example:
        >>> runs_triton(torch.device("meta"))
        False
    """
    interpreted = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return _INSTALLED and (device.type == "cuda" or interpreted)


class _Rows(NamedTuple):
    """What the kernel reads of every row; masked rows are not read."""

    student: Tensor
    teacher: Tensor
    alpha: Tensor
    beta: Tensor
    temperature: Tensor
    mask: Tensor | None = None

    def swapped(self) -> "_Rows":
        """Exchange the sides. Duality: D_αβ(p‖q) = D_βα(q‖p)."""
        return _Rows(self.teacher, self.student, self.beta, self.alpha, self.temperature, self.mask)


class _Outputs(NamedTuple):
    """What the kernel writes, and what it reads for that; None stands for what is not wanted or not given.

    If there are `values`, the state is written; without them it is read.
    """

    values: Tensor | None = None
    state: Tensor | None = None
    statistics: Tensor | None = None
    gradient: Tensor | None = None
    weight: Tensor | None = None
    labels: Tensor | None = None
    task_values: Tensor | None = None
    task_weight: Tensor | None = None


def _launch(rows: _Rows, outputs: _Outputs, by_teacher: bool = False) -> None:
    """Run the kernel over all rows; `by_teacher` prepares the state for a gradient with respect to the teacher."""
    student = rows.student
    if not runs_triton(student.device):
        raise RuntimeError(
            f"The fused kernel should run on a GPU where Triton is installed. Found logits on `{student.device}`. "
            "Use `lightning_abkd.functional.alpha_beta_divergence`, which gives the same numbers everywhere."
        )
    from lightning_abkd.kernels._alpha_beta_triton import alpha_beta_kernel

    count, classes = student.shape
    if not count:
        return
    gradient = student if outputs.gradient is None else outputs.gradient
    block = min(1 << (classes - 1).bit_length(), _LARGEST_BLOCK)
    with torch.cuda.device_of(student):
        alpha_beta_kernel[(count,)](
            **rows._asdict(),
            **outputs._asdict(),
            student_row=student.stride(0),
            student_column=student.stride(1),
            teacher_row=rows.teacher.stride(0),
            teacher_column=rows.teacher.stride(1),
            gradient_row=gradient.stride(0),
            gradient_column=gradient.stride(1),
            alpha_row=rows.alpha.stride(0),
            beta_row=rows.beta.stride(0),
            temperature_row=rows.temperature.stride(0),
            weight_row=0 if outputs.weight is None else outputs.weight.stride(0),
            classes=classes,
            TEACHER=by_teacher,
            BLOCK=block,
            num_warps=max(1, block // _ELEMENTS_PER_WARP),
        )


def _allocate(student: Tensor, with_statistics: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Allocate values (N,), state (8, N), and statistics (6, N) or (0, N)."""
    rows = len(student)
    values = student.new_empty(rows, dtype=torch.float32)
    return values, values.new_empty(8, rows), values.new_empty(6 if with_statistics else 0, rows)


@torch.library.custom_op("lightning_abkd::alpha_beta", mutates_args=())
def alpha_beta_op(
    student: Tensor,
    teacher: Tensor,
    alpha: Tensor,
    beta: Tensor,
    temperature: Tensor,
    mask: Tensor | None,
    by_teacher: bool,
    with_statistics: bool,
    inplace: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute values (N,), what a gradient needs of each row (8, N), and statistics (6, N) or (0, N).

    `by_teacher` prepares a gradient with respect to the teacher. `inplace` lets the gradient with respect to the
    student overwrite the student's logits.
    """
    values, state, statistics = _allocate(student, with_statistics)
    outputs = _Outputs(values=values, state=state, statistics=statistics if with_statistics else None)
    _launch(_Rows(student, teacher, alpha, beta, temperature, mask), outputs, by_teacher)
    return values, state, statistics


@alpha_beta_op.register_fake
def _allocate_only(
    student: Tensor,
    teacher: Tensor,
    alpha: Tensor,
    beta: Tensor,
    temperature: Tensor,
    mask: Tensor | None,
    by_teacher: bool,
    with_statistics: bool,
    inplace: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _allocate(student, with_statistics)


@torch.library.custom_op("lightning_abkd::alpha_beta_gradient_", mutates_args={"gradient"})
def _write_gradient(
    gradient: Tensor,
    student: Tensor,
    teacher: Tensor,
    alpha: Tensor,
    beta: Tensor,
    temperature: Tensor,
    mask: Tensor | None,
    state: Tensor,
    weight: Tensor,
) -> None:
    """Write weight · ∂D/∂student; `gradient` may be `student` itself."""
    rows = _Rows(student, teacher, alpha, beta, temperature, mask)
    _launch(rows, _Outputs(state=state, gradient=gradient, weight=weight))


class _OpContext(Context, Protocol):
    inplace: bool


def _save(ctx: _OpContext, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    *rows, _by_teacher, _with_statistics, inplace = inputs
    _, state, statistics = output
    ctx.inplace = bool(inplace)
    ctx.mark_non_differentiable(state, statistics)
    ctx.save_for_backward(*rows, state)


class _OnlyFirstDerivative(torch.autograd.Function):
    """Raises on double backward instead of returning a silent zero."""

    @staticmethod
    def forward(ctx: Context, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Context, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("Second derivatives of the α-β-divergence are not available.")


def _backward(ctx: _OpContext, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    *saved, state = ctx.saved_tensors
    rows = _Rows(*saved)
    to_student: Tensor | None = None
    to_teacher: Tensor | None = None
    with torch.no_grad():
        if ctx.needs_input_grad[1]:
            # First, because the student's logits may be overwritten below. The halves of the state are swapped too.
            to_teacher = torch.empty_like(rows.teacher)
            _write_gradient(to_teacher, *rows.swapped(), state.roll(4, 0), upstream)
        if ctx.needs_input_grad[0]:
            to_student = rows.student.detach() if ctx.inplace else torch.empty_like(rows.student)
            _write_gradient(to_student, *rows, state, upstream)
    gradients: tuple[Tensor | None, ...] = (to_student, to_teacher)
    if torch.is_grad_enabled():
        sources = (rows.student, rows.teacher, upstream)
        gradients = tuple(None if x is None else _OnlyFirstDerivative.apply(x, *sources) for x in gradients)
    # α, β, T, the mask and three options have no gradient.
    return *gradients, *(None,) * 7


alpha_beta_op.register_autograd(_backward, setup_context=_save)


@torch.library.custom_op("lightning_abkd::alpha_beta_rows_", mutates_args={"gradient"})
def alpha_beta_rows_op(
    gradient: Tensor,
    student: Tensor,
    teacher: Tensor,
    alpha: Tensor,
    beta: Tensor,
    temperature: Tensor,
    weight: Tensor,
    labels: Tensor | None,
    task_weight: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Compute values and cross-entropies (N,) and write the weighted gradient; `gradient` may be `student` itself."""
    values = student.new_empty(len(student), dtype=torch.float32)
    task_values = torch.empty_like(values)
    outputs = _Outputs(
        values=values,
        gradient=gradient,
        weight=weight,
        labels=labels,
        task_values=None if labels is None else task_values,
        task_weight=task_weight,
    )
    _launch(_Rows(student, teacher, alpha, beta, temperature), outputs)
    return values, task_values
