from typing import get_args

import pytest
import torch

from lightning_abkd.kernels import (
    Backend,
    BackendName,
    LogitRows,
    _backends as backends,
    choose_backend,
    create_backends,
)
from tests._asserts import logits
from tests.kernels._triton import DEVICE, eager, needs_triton, rows


class Fake(Backend):
    """A backend that supports logits or does not."""

    requirement = "float8 on a toaster"

    def __init__(self, name, supported):
        self.name, self.supported = name, supported

    def supports(self, student_logits, teacher_logits):
        return self.supported

    def values_and_gradient(self, rows, alpha, beta, gradient, scale=1.0):
        raise NotImplementedError


PAIR = torch.zeros(2, 1, 2, dtype=torch.float32).unbind()


def test_auto_takes_the_first_that_supports_the_logits():
    candidates = [Fake("fused", False), Fake("triton", True), Fake("eager", True)]
    assert choose_backend("auto", *PAIR, candidates) is candidates[1]


def test_a_name_is_taken_at_its_word():
    candidates = [Fake("fused", True), Fake("eager", True)]
    assert choose_backend("eager", *PAIR, candidates) is candidates[1]


def test_a_backend_that_cannot_compute_the_logits_says_what_it_needs():
    with pytest.raises(
        ValueError,
        match="'fused' needs float8 on a toaster. Found torch.float32 and torch.float64 on `cpu`. Choose another one",
    ):
        choose_backend("fused", PAIR[0], PAIR[1].double(), [Fake("fused", False), Fake("eager", True)])


def test_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match="`backend` should be 'auto', 'eager', .*or 'compile'. Found `backend = 'magic'"
    ):
        choose_backend("magic", *PAIR, create_backends())


def test_every_name_but_auto_is_a_backend():
    assert {backend.name for backend in create_backends()} == set(get_args(BackendName)) - {"auto"}


@pytest.mark.parametrize(
    ("dtype", "name"), [(torch.float32, "fused"), (torch.bfloat16, "fused"), (torch.float64, "eager")]
)
def test_on_a_cpu_float32_is_fused_and_float64_plain(dtype, name):
    pair = torch.zeros(1, 2, dtype=dtype), torch.zeros(1, 2)
    assert choose_backend("auto", *pair, create_backends()).name == name


@pytest.mark.parametrize(("found", "name"), [(True, "triton"), (False, "eager")])
def test_elsewhere_triton_is_taken_where_it_runs(monkeypatch, found, name):
    monkeypatch.setattr(backends, "runs_triton", lambda device: found)
    pair = [x.to("meta") for x in PAIR]
    assert choose_backend("auto", *pair, create_backends()).name == name
    assert choose_backend("auto", pair[0], pair[1].double(), create_backends()).name == "eager"


def test_each_divergence_has_objects_of_its_own():
    assert create_backends()[0] is not create_backends()[0]


@needs_triton
def test_triton_gives_values_and_the_scaled_gradient():
    student, teacher = rows(3, 40).detach(), rows(3, 40, seed=1).detach()
    alpha, beta, temperature = (torch.tensor(x, device=DEVICE) for x in (0.2, 0.7, 2.0))
    found = LogitRows(student, teacher, temperature)
    gradient = torch.full_like(student, torch.nan)
    backend = choose_backend("triton", student, teacher, create_backends())
    values = backend.values_and_gradient(found, alpha, beta, gradient, 3.0)
    exact, slope, _ = eager(student, teacher, 0.2, 0.7, 2.0)
    torch.testing.assert_close(values.double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), 3.0 * slope, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(backend.values(found, alpha, beta).double(), exact, rtol=1e-5, atol=0)
    assert backend.is_one_kernel


@pytest.mark.parametrize("name", ["fused", "eager"])
def test_all_give_the_same_numbers(name):
    student, teacher = logits(6, 33).float(), logits(6, 33, seed=1).float()
    found, gradient = LogitRows(student, teacher, torch.tensor(2.0)), torch.empty(6, 33)
    backend = choose_backend(name, student, teacher, create_backends(each_row_counts=True))
    values = backend.values_and_gradient(found, torch.tensor(0.2), torch.tensor(0.7), gradient)
    exact, slope, _ = eager(student, teacher, 0.2, 0.7, 2.0)
    torch.testing.assert_close(values.double(), exact.cpu(), rtol=2e-5, atol=0)
    torch.testing.assert_close(gradient.double(), slope.cpu(), rtol=1e-4, atol=1e-6)
