"""The Triton kernel of the α-β-divergence as operators that autograd and torch.compile know.

All logits here have two dimensions, all numbers of rows one, with a stride of 0 where rows share a number.
"""

import os
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

_INSTALLED = find_spec("triton") is not None
_LARGEST_BLOCK = 2048
_ELEMENTS_PER_WARP = 256


def runs_triton(device: torch.device) -> bool:
    """Tell whether Triton kernels run on a device: on a GPU, or on a processor in Triton's interpreter.

    The interpreter is slow and made for tests; TRITON_INTERPRET=1 in the environment before Triton is imported asks
    for it. Triton comes with torch's builds for GPUs.

    Args:
        device: Where the logits are.

    Returns:
        Whether the functions of this file work there.

    Example:
        >>> runs_triton(torch.device("meta"))
        False
    """
    interpreted = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return _INSTALLED and (device.type == "cuda" or interpreted)


def _launch(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None,
    exponents: tuple[Tensor, Tensor, Tensor],
    *,
    values: Tensor | None = None,
    state: Tensor | None = None,
    statistics: Tensor | None = None,
    gradient: Tensor | None = None,
    weight: Tensor | None = None,
    labels: Tensor | None = None,
    task_values: Tensor | None = None,
    task_weight: Tensor | None = None,
    by_teacher: bool = False,
) -> None:
    """Run the kernel over all rows; what is None is not wanted or not there."""
    if not runs_triton(student.device):
        raise RuntimeError(
            f"The fused kernel should run on a GPU where Triton is installed. Found logits on `{student.device}`. "
            "Use `lightning_abkd.functional.alpha_beta_divergence`, which gives the same numbers everywhere."
        )
    from lightning_abkd.kernels._alpha_beta_triton import alpha_beta_kernel

    rows, classes = student.shape
    if not rows:
        return
    block = min(1 << (classes - 1).bit_length(), _LARGEST_BLOCK)
    with torch.cuda.device_of(student):
        alpha_beta_kernel[(rows,)](
            *(student, teacher, mask, *exponents, values, state, statistics, gradient, weight),
            *(labels, task_values, task_weight, *student.stride(), *teacher.stride()),
            *(student if gradient is None else gradient).stride(),
            *(tensor.stride(0) for tensor in exponents),
            0 if weight is None else weight.stride(0),
            classes,
            TEACHER=by_teacher,
            BLOCK=block,
            num_warps=max(1, block // _ELEMENTS_PER_WARP),
        )


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
    """Give values (N,), what a gradient needs of each row (6, N), and statistics (6, N) or (0, N).

    `by_teacher` foresees a gradient by the teacher; `inplace` has that by the student written over the student.
    """
    values, state, statistics = _outputs(
        student, teacher, alpha, beta, temperature, mask, by_teacher, with_statistics, inplace
    )
    _launch(
        student,
        teacher,
        mask,
        (alpha, beta, temperature),
        values=values,
        state=state,
        statistics=statistics if with_statistics else None,
        by_teacher=by_teacher,
    )
    return values, state, statistics


@alpha_beta_op.register_fake
def _outputs(
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
    rows = len(student)
    values = student.new_empty(rows, dtype=torch.float32)
    return values, values.new_empty(6, rows), values.new_empty(6 if with_statistics else 0, rows)


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
    _launch(student, teacher, mask, (alpha, beta, temperature), state=state, gradient=gradient, weight=weight)


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    inplace: bool

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...

    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


def _setup(ctx: _Context, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.inplace = bool(inputs[8])
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*inputs[:6], output[1])


class _Constant(torch.autograd.Function):
    """A gradient that is a constant to the autograd, which is an error to find out."""

    @staticmethod
    def forward(ctx: _Context, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: _Context, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("Second derivatives of the α-β-divergence are not available.")


def _backward(ctx: _Context, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    student, teacher, alpha, beta, temperature, mask, state = ctx.saved_tensors
    to_student = to_teacher = None
    with torch.no_grad():
        if ctx.needs_input_grad[1]:
            # Duality: D_αβ(p‖q) = D_βα(q‖p). First, because the student's logits may be gone afterwards.
            to_teacher, swapped = torch.empty_like(teacher), state.roll(3, 0)
            _write_gradient(to_teacher, teacher, student, beta, alpha, temperature, mask, swapped, upstream)
        if ctx.needs_input_grad[0]:
            to_student = student.detach() if ctx.inplace else torch.empty_like(student)
            _write_gradient(to_student, student, teacher, alpha, beta, temperature, mask, state, upstream)
    gradients: tuple[Tensor | None, ...] = (to_student, to_teacher)
    if torch.is_grad_enabled():
        gradients = tuple(None if x is None else _Constant.apply(x, student, teacher, upstream) for x in gradients)
    return *gradients, *(None,) * 7


alpha_beta_op.register_autograd(_backward, setup_context=_setup)


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
    """Give values and cross-entropies (N,) and write the weighted gradient; `gradient` may be `student` itself."""
    values = student.new_empty(len(student), dtype=torch.float32)
    task_values = torch.empty_like(values)
    _launch(
        student,
        teacher,
        None,
        (alpha, beta, temperature),
        values=values,
        gradient=gradient,
        weight=weight,
        labels=labels,
        task_values=task_values if labels is not None else None,
        task_weight=task_weight,
    )
    return values, task_values
