import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels import LogitRows
from lightning_abkd.kernels._backend import Backend, CompileBackend, EagerBackend, has_float64
from lightning_abkd.kernels._closed_form import closed_form, compiled_form
from tests._asserts import log_probabilities, logits

ALPHA, BETA, TEMPERATURE = torch.tensor(0.2), torch.tensor(0.7), torch.tensor(2.0)


class WithoutGradient(Backend):
    """Defines the least that a backend must."""

    def values_and_gradient(self, rows, alpha, beta, gradient, scale=1.0):
        raise NotImplementedError


@pytest.fixture
def rows():
    return LogitRows(logits(4, 9), logits(4, 9, seed=1), TEMPERATURE)


@pytest.fixture
def traced(monkeypatch):
    """Compile without a compiler of the machine, and list what is compiled."""
    compiled, real = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiled.append(f) or real(f, backend="eager"))
    compiled_form.cache_clear()
    yield compiled
    compiled_form.cache_clear()


def test_values_are_the_divergence_unless_a_backend_knows_better(rows):
    backend = WithoutGradient()
    expected = alpha_beta_divergence(rows.log_p, rows.log_q, ALPHA, BETA)
    assert backend.values(rows, ALPHA, BETA).equal(expected)
    assert backend.pointwise(rows.log_p, rows.log_q, ALPHA, BETA).equal(expected)
    assert backend.supports(rows.student_logits, rows.teacher_logits)
    assert not backend.is_one_kernel


def test_a_backend_must_define_its_gradient():
    with pytest.raises(TypeError, match="abstract method '?values_and_gradient"):
        Backend()


@pytest.mark.parametrize("scale", [1.0, 3.0, torch.tensor(3.0)])
def test_eager_scales_the_gradient_and_not_the_values(rows, scale):
    gradient = torch.full((4, 9), torch.nan, dtype=torch.float64)
    values = EagerBackend().values_and_gradient(rows, ALPHA, BETA, gradient, scale)
    expected = closed_form(rows.student_logits, rows.teacher_logits, ALPHA, BETA, TEMPERATURE)
    assert values.equal(expected[0])
    assert gradient.equal(expected[1] * scale)


def test_eager_takes_exponents_per_row(rows):
    alpha, beta, gradient = torch.rand(4), torch.rand(4), torch.empty(4, 9, dtype=torch.float64)
    values = EagerBackend().values_and_gradient(rows, alpha, beta, gradient)
    for i in range(4):
        expected = alpha_beta_divergence(rows.log_p[i], rows.log_q[i], alpha[i], beta[i])
        torch.testing.assert_close(values[i], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_gives_the_same_from_one_program(traced, rows):
    gradients = torch.empty(2, 4, 9, dtype=torch.float64)
    for alpha in (ALPHA, torch.tensor(0.5)):
        values = CompileBackend().values_and_gradient(rows, alpha, BETA, gradients[0], 3.0)
        expected = EagerBackend().values_and_gradient(rows, alpha, BETA, gradients[1], 3.0)
        torch.testing.assert_close(values, expected)
        torch.testing.assert_close(gradients[0], gradients[1])
    assert traced == [closed_form]


def test_pointwise_has_a_gradient():
    log_p, log_q = log_probabilities(2, 3, 9), log_probabilities(2, 3, 9, seed=1).requires_grad_()
    EagerBackend().pointwise(log_p, log_q, ALPHA, BETA).sum().backward()
    assert log_q.grad.isfinite().all()


def test_float64_is_found_on_either_side():
    single, double = torch.zeros(1), torch.zeros(1).double()
    assert has_float64(single, double)
    assert has_float64(double, single)
    assert not has_float64(single, single.bfloat16())
