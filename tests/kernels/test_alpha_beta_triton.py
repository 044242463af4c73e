import os
import subprocess
import sys

import pytest
import torch

from lightning_abkd.kernels import alpha_beta_from_logits
from tests._asserts import CASES, gradient_error, rounding_bound
from tests.kernels._triton import DEVICE, eager, needs_triton, poisoned, rows

pytestmark = [needs_triton, pytest.mark.usefixtures("poisoned")]
__all__ = ["poisoned"]
WIDEST = max(len(case["teacher_logits"]) for case in CASES)
POINTS = [(1, 0), (0, 1), (0.2, 0.7), (0, 0), (0.5, -0.5), (-0.2, 0.9), (2, 1), (-0.3, -0.4)]


def derive(student, teacher, *numbers):
    values = alpha_beta_from_logits(student, teacher, *numbers)
    return values.detach(), *torch.autograd.grad(values.sum(), (student, teacher))


def test_errors_are_no_larger_than_those_of_the_eager_path():
    def column(name):
        return torch.tensor([float(case[name]) for case in CASES], device=DEVICE)

    def padded(name):
        missing = [[-torch.inf] * (WIDEST - len(case[name])) for case in CASES]
        return torch.tensor([case[name] + end for case, end in zip(CASES, missing, strict=True)], device=DEVICE)

    student, teacher = padded("student_logits").requires_grad_(), padded("teacher_logits")
    values = alpha_beta_from_logits(student, teacher, *(column(x) for x in ("alpha", "beta", "temperature")))
    values.sum().backward()
    for case, value, slope in zip(CASES, values.tolist(), student.grad.cpu(), strict=True):
        logits = [torch.tensor([case[f"{side}_logits"]]) for side in ("student", "teacher")]
        other, other_slope, _ = eager(*logits, case["alpha"], case["beta"], case["temperature"], torch.float32)
        size = abs(case["value"])
        assert abs(value - case["value"]) <= abs(other.item() - case["value"]) + 1e-6 * max(1.0, size)
        if case["near"]:
            assert abs(value - case["value"]) <= size * rounding_bound(case, torch.finfo(torch.float32).eps)
        classes = len(case["gradient"])
        assert gradient_error(slope[:classes], case) <= gradient_error(other_slope[0], case) + 1e-6
        assert (slope[classes:] == 0).all()


@pytest.mark.parametrize("classes", [1, 2, 127, 129, 2048, 2049, 50257, 151936])
def test_any_number_of_classes(classes):
    count = 2 if classes < 10000 else 1
    student, teacher = rows(count, classes), rows(count, classes, seed=1)
    results = derive(student, teacher, 0.2, 0.7), eager(student, teacher, 0.2, 0.7, dtype=torch.float32)
    for ours, other, exact in zip(*results, eager(student, teacher, 0.2, 0.7), strict=True):
        assert (ours - exact).abs().max() <= (other - exact).abs().max() + 1e-6


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_equal_rows_give_zero(alpha, beta):
    student = rows(2, 33)
    value, *gradients = derive(student, student.detach().clone().requires_grad_(), alpha, beta)
    assert (value == 0).all()
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_infinite_logits_as_in_functional(alpha, beta):
    student, teacher = rows(3, 9, scale=1.0), rows(3, 9, scale=1.0, seed=1)
    with torch.no_grad():
        # Excluded by both sides, by the teacher alone, by the student alone.
        student[:, 4] = teacher[:, 4] = teacher[1, 0] = student[2, 8] = -torch.inf
    exact = eager(student, teacher, alpha, beta)
    values, *gradients = derive(student, teacher, alpha, beta)
    torch.testing.assert_close(values.double(), exact[0], rtol=2e-6, atol=1e-7)
    finite = values.isfinite()
    for ours, expected in zip(gradients, exact[1:], strict=True):
        torch.testing.assert_close(ours.double()[finite], expected[finite], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_blocks_without_a_finite_logit():
    student, teacher = rows(1, 5000), rows(1, 5000, seed=1)
    with torch.no_grad():
        student[:, :2500] = teacher[:, 2100:] = -torch.inf
        student[:, 7] = teacher[:, 4700] = 2.0
    for ours, exact in zip(derive(student, teacher, 0.3, 0.6), eager(student, teacher, 0.3, 0.6), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_value_beyond_float32_is_infinite():
    student, teacher = torch.tensor([0.0, 1000.0], device=DEVICE), torch.tensor([1000.0, 0.0], device=DEVICE)
    # p^s = e^700 of the second class, where even p^α q^β = e^300 is too large.
    assert alpha_beta_from_logits(student, teacher, -0.3, -0.4).isposinf()


def test_a_logit_that_is_not_a_number_stays_in_its_row():
    student, teacher = rows(2, 9), rows(2, 9, seed=1)
    with torch.no_grad():
        student[0, 3] = torch.nan
    value, gradient, _ = derive(student, teacher, 0.2, 0.7)
    assert value.isnan().tolist() == gradient.isnan().any(-1).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("teacher_dtype", [torch.bfloat16, torch.float32])
def test_arithmetic_is_float32_for_every_dtype(dtype, teacher_dtype):
    student, teacher = rows(2, 300, dtype=dtype), rows(2, 300, seed=1, dtype=teacher_dtype)
    ours, exact = derive(student, teacher, 0.2, 0.7, 2.0), eager(student, teacher, 0.2, 0.7, 2.0)
    assert [x.dtype for x in ours] == [torch.float32, dtype, teacher_dtype]
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=1e-6, atol=0)
    for gradient, expected in zip(ours[1:], exact[1:], strict=True):
        torch.testing.assert_close(gradient, expected.to(gradient.dtype), atol=1e-7, rtol=1e-2)


@pytest.mark.parametrize("view", [lambda x: x.T.contiguous().T, lambda x: x[:, ::3], lambda x: x[:1].expand(4, -1)])
def test_any_strides(view):
    student, teacher = view(rows(4, 30)), view(rows(4, 30, seed=1))
    expected = alpha_beta_from_logits(student.contiguous(), teacher.contiguous(), 0.2, 0.7)
    torch.testing.assert_close(alpha_beta_from_logits(student, teacher, 0.2, 0.7), expected)
    for ours, exact in zip(derive(student, teacher, 0.2, 0.7), eager(student, teacher, 0.2, 0.7), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-6)


def test_rows_more_than_two_to_the_31_elements_apart():
    step = 2**30 + 16
    storage = torch.UntypedStorage(2 * (2 * step + 40), device=DEVICE)
    far = torch.empty(0, dtype=torch.bfloat16, device=DEVICE).set_(storage, 0, (3, 40), (step, 1))
    teacher = rows(3, 40, seed=1).detach()
    far.copy_(rows(3, 40).detach())
    near = far.clone().requires_grad_()
    expected = alpha_beta_from_logits(near, teacher, 0.2, 0.7)
    values = alpha_beta_from_logits(far.requires_grad_(), teacher, 0.2, 0.7, inplace=True)
    torch.testing.assert_close(values, expected)
    (gradient,) = torch.autograd.grad(values.sum(), far)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), near)[0])
    assert gradient.stride() == (step, 1)


COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lightning_abkd.kernels._alpha_beta_triton import alpha_beta_kernel as kernel

for absent in (["state"], ["values", "statistics", "labels", "task_values", "task_weight"]):
    constants = {"TEACHER": True, "BLOCK": 128, "student_column": 1} | dict.fromkeys(absent)
    types = {"student": "*bf16", "gradient": "*bf16", "mask": "*i1", "labels": "*i64"}
    for name in kernel.arg_names:
        number = name == "classes" or name.endswith(("_row", "_column"))
        types.setdefault(name, "i32" if number else "*fp32")
    types |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, {name: types[name] for name in kernel.arg_names}, constants)
    assert "alpha_beta_kernel" in triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]
"""


@pytest.mark.skipif(DEVICE != "cpu", reason="the other tests compile it")
def test_the_compiler_takes_what_the_interpreter_runs(tmp_path):
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    del environment["TRITON_INTERPRET"]
    subprocess.run([sys.executable, "-c", COMPILED], env=environment, check=True, timeout=100)
