"""Random exponents, logits, masks, temperatures and dtypes against 120 digits: ABKD_CASES=10000 draws all of them."""

import math
import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from lightning_abkd import functional, losses
from lightning_abkd.kernels import alpha_beta_grid
from lightning_abkd.losses import AlphaBetaDivergence, TeacherUncertainty, TokenwiseAlphaBeta
from tests._exact import exact_row

CASES = int(os.environ.get("ABKD_CASES", "1000"))
pytestmark = pytest.mark.float32
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SCALES = (1e-3, 1.0, 5.0, 30.0, 100.0, 1e4, 1e18, 1e38)
EXPONENTS = st.one_of(
    st.sampled_from((-2.0, -1.0, -0.5, -1e-7, 0.0, 1e-10, 1e-3, 0.2, 0.5, 0.7, 1.0, 2.0)),
    st.floats(-3.0, 3.0, width=32),
)


@st.composite
def cases(draw):
    dtype = draw(st.sampled_from(DTYPES))
    classes = draw(st.integers(1, 5))
    scale = min(draw(st.sampled_from(SCALES)), torch.finfo(dtype).max)
    unit = st.lists(st.floats(-1.0, 1.0), min_size=classes, max_size=classes)
    student, other = (scale * torch.tensor([draw(unit)], dtype=torch.float64) for _ in range(2))
    teacher = draw(st.sampled_from((other, other, other / scale, student, student * 0.9999)))
    student, teacher = (x.to(dtype) for x in (student.clone(), teacher.clone()))
    low = draw(st.sampled_from((None, None, -math.inf, torch.finfo(dtype).min)))
    if low is not None and classes > 1:
        for side in draw(st.sampled_from(((student,), (teacher,), (student, teacher)))):
            side[:, -1] = low
    alpha, beta = (torch.tensor(draw(EXPONENTS), dtype=torch.float32).item() for _ in range(2))
    return student, teacher, alpha, draw(st.sampled_from((beta, beta, -alpha))), draw(st.sampled_from((1.0, 0.5, 4.0)))


def losses_of(alpha, beta, temperature):
    """Return a loss for each way in which values and gradients are computed."""
    options = {"temperature": temperature, "reduction": "none"}
    return {
        "eager": AlphaBetaDivergence(alpha, beta, backend="eager", **options),
        "fused": AlphaBetaDivergence(alpha, beta, backend="auto", **options),
        "teacher": AlphaBetaDivergence(alpha, beta, **options),
        "token": TokenwiseAlphaBeta(TeacherUncertainty(), alpha, beta, alpha, beta, **options),
    }


def assert_close(found, exact, tolerance):
    dtype = torch.finfo(found.dtype)
    for x, e, t in zip(found.flatten().tolist(), exact, tolerance, strict=True):
        assert not math.isnan(x)
        if math.isinf(x) or abs(e) > dtype.max:
            assert abs(e) + t >= 0.99 * dtype.max
            assert math.isinf(x) or abs(x) + t >= 0.99 * dtype.max
        else:
            assert abs(x - e) <= t + 2 * dtype.eps * abs(e) + 10 * dtype.smallest_normal


@pytest.mark.timeout(max(300, CASES))
@settings(max_examples=CASES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases(), st.sampled_from(("eager", "fused", "teacher", "token")))
def test_values_and_gradients_are_those_of_the_mathematics(case, way):
    student, teacher, *numbers = case
    epsilon = torch.finfo(functional.promote_to_float32(student).dtype).eps
    exact = exact_row(student[0].tolist(), teacher[0].tolist(), *numbers, epsilon)
    z, y = student.clone().requires_grad_(), teacher.clone().requires_grad_(way == "teacher")
    value = losses_of(*numbers)[way](z, y)
    value.sum().backward()
    assert not value.lt(0.0).any()
    assert_close(value.detach(), [exact.value], [exact.tolerance])
    assert not z.grad.isnan().any()
    assert y.grad is None or not y.grad.isnan().any()
    if exact.gradient is not None and value.isfinite():
        assert_close(z.grad, exact.gradient, exact.gradient_tolerance)


@settings(max_examples=CASES // 10, deadline=None, database=None, derandomize=True)
@given(cases())
def test_a_grid_is_never_nan_or_negative(case):
    student, teacher, alpha, beta, temperature = case
    grid = alpha_beta_grid(student, teacher, [alpha, 0.5], [beta, 0.0], temperature)
    assert (grid.values >= 0.0).all()
    assert (grid.gradient_norms >= 0.0).all()


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero) encountered:RuntimeWarning")
@settings(max_examples=CASES // 100, deadline=None, database=None, derandomize=True)
@given(cases())
def test_the_kernel_is_never_nan_or_negative(case):
    pytest.importorskip("triton")
    student, teacher, alpha, beta, temperature = case
    z, y = (x.float().requires_grad_() for x in (student, teacher))
    value = AlphaBetaDivergence(alpha, beta, temperature, reduction="none", backend="triton")(z, y)
    value.sum().backward()
    assert (value >= 0.0).all()
    assert not z.grad.isnan().any()
    assert not y.grad.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("exponents", [(0.0, 0.0), (1e-3, 1e-3), (1e-10, 1e-10), (-1e-3, 1e-3), (-0.5, 0.2)])
def test_the_least_number_masks_like_minus_infinity(dtype, exponents):
    student, teacher = torch.tensor([[1.0, 3.0, 0.0]]).to(dtype), torch.tensor([[2.0, -1.0, 0.0]]).to(dtype)
    masked = torch.tensor([False, False, True])
    found, expected = (
        AlphaBetaDivergence(*exponents)(student.masked_fill(masked, low), teacher.masked_fill(masked, low))
        for low in (torch.finfo(dtype).min, -torch.inf)
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("exponents", [(1e-3, 1e-3), (1e-10, 1e-10)])
def test_the_least_number_on_one_side_masks_like_minus_infinity_near_the_origin(exponents):
    student = torch.tensor([[1.0, 3.0, 0.0]])
    found, expected = (
        AlphaBetaDivergence(*exponents)(student, torch.tensor([[2.0, -1.0, low]]))
        for low in (torch.finfo(torch.float32).min, -torch.inf)
    )
    assert expected.isfinite()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["ReverseKL", "Hellinger", "SymmetricKL", "JensenShannon", "TotalVariation", "LSD"])
def test_a_masked_position_adds_nothing_even_if_it_is_not_a_number(name):
    student = torch.tensor([[1.0, 2.0], [torch.nan, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 1.5], [torch.inf, 0.0]], requires_grad=True)
    getattr(losses, name)()(student, teacher, torch.tensor([True, False])).backward()
    assert (student.grad[1] == 0.0).all()
    assert (teacher.grad[1] == 0.0).all()
    assert student.grad.isfinite().all()


def test_a_direction_of_weight_0_does_not_count_even_if_it_is_infinite():
    student, teacher = torch.tensor([[1.0, 2.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0, -torch.inf]])
    value = losses.SymmetricKL(weight=0.0)(student, teacher)
    value.backward()
    torch.testing.assert_close(value, losses.ForwardKL()(student, teacher))
    assert student.grad.isfinite().all()


def test_standardised_logits_leave_excluded_classes_out():
    student, teacher = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[2.0, 1.0, 8.0]])
    for low in (-torch.inf, torch.finfo(torch.float32).min):
        masked = (torch.cat([x, torch.full((1, 1), low)], 1) for x in (student, teacher))
        torch.testing.assert_close(losses.LSD()(*masked), losses.LSD()(student, teacher))


def test_decoupled_distillation_of_a_label_that_is_the_only_possible_class_is_that_of_the_target():
    student = torch.tensor([[2.0, 0.0, 1.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    value = losses.DKD(losses.ForwardKL())(student, teacher, torch.tensor([0]))
    value.backward()
    # KL of (1, 0) from the student's pair is -log q of the label.
    torch.testing.assert_close(value, -student.log_softmax(-1)[0, 0])
    torch.testing.assert_close(student.grad[0], student.detach()[0].softmax(-1) - torch.tensor([1.0, 0.0, 0.0]))


def test_decoupled_distillation_hides_no_nan():
    student, labels = torch.tensor([[2.0, torch.nan, 1.0], [0.0, -torch.inf, -torch.inf]]), torch.tensor([0, 0])
    assert losses.DKD()(student, torch.zeros(2, 3), labels).isnan()


def test_a_moving_target_may_have_a_teacher_with_a_gradient():
    student, teacher = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    losses.TAID(total_steps=10)(student, teacher).backward()
    assert teacher.grad.isfinite().all()
