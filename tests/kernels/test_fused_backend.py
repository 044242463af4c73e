import copy
import pickle

import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels import LogitRows
from lightning_abkd.kernels._backend import EagerBackend
from lightning_abkd.kernels._fused_backend import FusedBackend
from tests._asserts import logits

TEMPERATURE = torch.tensor(2.0)
# By sums of powers, and term by term since an exponent is too small for these or negative.
FUSED = [(0.2, 0.7), (1.0, 0.0), (0.0, 1.0), (0.05, 0.95), (-0.5, 1.5)]


def pair(distance=None):
    student, teacher = logits(5, 33).float(), logits(5, 33, seed=1).float()
    return student, teacher if distance is None else student + distance * teacher


def point(alpha, beta):
    return torch.tensor(alpha), torch.tensor(beta)


def run(backend, rows, alpha, beta, scale=1.0):
    gradient = torch.full_like(rows.student_logits, torch.nan)
    return backend.values_and_gradient(rows, alpha, beta, gradient, scale), gradient


@pytest.mark.parametrize("distance", [None, 1e-2])
@pytest.mark.parametrize(("alpha", "beta"), [*FUSED, (0.0, 0.0), (0.5, -0.5)])
def test_numbers_are_those_of_the_plain_form(alpha, beta, distance):
    rows, exponents = LogitRows(*pair(distance), TEMPERATURE), point(alpha, beta)
    expected = run(EagerBackend(), rows, *exponents, 3.0)
    torch.testing.assert_close(run(FusedBackend(), rows, *exponents, 3.0), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(FusedBackend().values(rows, *exponents), expected[0], rtol=1e-4, atol=1e-6)


def test_each_row_may_have_its_own_exponents():
    rows = LogitRows(*pair(), TEMPERATURE)
    alpha, beta = torch.tensor(FUSED).unbind(-1)
    scale = torch.tensor(0.3)
    expected = run(EagerBackend(), rows, alpha, beta, scale)
    torch.testing.assert_close(run(FusedBackend(), rows, alpha, beta, scale), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.5, -0.5)])
def test_what_no_fused_form_can_compute_is_computed_plainly(alpha, beta):
    rows, exponents = LogitRows(*pair(), TEMPERATURE), point(alpha, beta)
    for ours, plain in zip(run(FusedBackend(), rows, *exponents), run(EagerBackend(), rows, *exponents), strict=True):
        assert ours.equal(plain)
    assert FusedBackend().values(rows, *exponents).equal(EagerBackend().values(rows, *exponents))


def test_infinite_logits_are_computed_plainly():
    student, teacher = pair()
    student[:, 3] = teacher[:, 3] = -torch.inf
    rows, exponents = LogitRows(student, teacher, TEMPERATURE), point(0.05, 0.95)
    assert run(FusedBackend(), rows, *exponents)[0].equal(EagerBackend().values(rows, *exponents))


def test_sums_are_kept_until_a_number_changes():
    backend, rows = FusedBackend(), LogitRows(*pair(), TEMPERATURE)
    run(backend, rows, *point(0.2, 0.7))
    sums = backend._sums
    run(backend, LogitRows(*pair(), TEMPERATURE), *point(0.2, 0.7))
    assert backend._sums is sums
    run(backend, LogitRows(*pair(), torch.tensor(1.0)), *point(0.2, 0.7))
    assert backend._sums is not sums


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda backend: pickle.loads(pickle.dumps(backend))])
def test_copies_and_files_hold_no_buffers(copied):
    backend, rows = FusedBackend(each_row_counts=True), LogitRows(*pair(), TEMPERATURE)
    before = run(backend, rows, *point(0.2, 0.7))
    assert backend._sums is not None
    other = copied(backend)
    assert other._sums is None
    torch.testing.assert_close(run(other, rows, *point(0.2, 0.7)), before, rtol=0, atol=0)


def test_one_near_row_is_accurate_where_each_row_counts():
    student, teacher = pair()
    teacher[2] = student[2] + 1e-3 * teacher[2]
    rows, exponents = LogitRows(student, teacher, TEMPERATURE), point(0.2, 0.7)
    doubled = LogitRows(student.double(), teacher.double(), TEMPERATURE)
    exact = EagerBackend().values(doubled, *(x.double() for x in exponents))
    torch.testing.assert_close(FusedBackend(True).values(rows, *exponents).double(), exact, rtol=1e-3, atol=0)


def test_evaluation_in_inference_mode_leaves_buffers_that_training_can_use():
    backend, rows = FusedBackend(), LogitRows(*pair(), TEMPERATURE)
    with torch.inference_mode():
        values = backend.values(rows, *point(0.2, 0.7))
    assert run(backend, rows, *point(0.2, 0.7))[0].equal(values)


def test_pointwise_is_fused_without_a_gradient_and_the_divergence_with_one():
    rows, exponents = LogitRows(*pair(), TEMPERATURE), point(0.2, 0.7)
    exact = alpha_beta_divergence(rows.log_p, rows.log_q, *exponents)
    with torch.no_grad():
        torch.testing.assert_close(FusedBackend().pointwise(rows.log_p, rows.log_q, *exponents), exact)
    log_q = rows.log_q.requires_grad_()
    value = FusedBackend().pointwise(rows.log_p, log_q, *exponents)
    assert value.equal(exact)
    assert value.requires_grad


@torch.no_grad()
@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (0.0, 0.0)])
def test_pointwise_takes_any_shape_and_precision(alpha, beta):
    log_p, log_q = (logits(2, 3, 9, seed=seed).log_softmax(-1) for seed in (0, 1))
    exact = alpha_beta_divergence(log_p, log_q, alpha, beta)
    backend, exponents = FusedBackend(), point(alpha, beta)
    torch.testing.assert_close(backend.pointwise(log_p, log_q, *exponents), exact, rtol=1e-6, atol=0)
    single = backend.pointwise(log_p[0].float(), log_q[0].float(), *exponents)
    torch.testing.assert_close(single, exact[0].float(), rtol=2e-5, atol=1e-6)


def test_float64_and_other_devices_are_not_supported():
    single, double = torch.zeros(1, 2), torch.zeros(1, 2).double()
    assert FusedBackend().supports(single, single.bfloat16())
    assert not FusedBackend().supports(single, double)
    assert not FusedBackend().supports(single.to("meta"), single.to("meta"))
