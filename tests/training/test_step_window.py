import pytest
import torch
from torch import nn

from lightning_abkd.training._evidence import Look
from lightning_abkd.training._step_window import (
    StepWindow,
    are_wrong,
    drop_gradients,
    finding_in_gradients,
    gradients_of,
)

CPU = torch.device("cpu")


def look(loss, batch_idx=0):
    return Look((), batch_idx, {"loss": torch.tensor(loss)}, dict)


def with_gradient(gradient):
    parameter = nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient
    return parameter


def test_the_first_wrong_batch_is_found():
    window = StepWindow()
    assert (bool(window.is_wrong(CPU)), window.first_wrong()) == (False, None)
    window.looks = [look(1.0, 0), look(torch.inf, 1), look(torch.nan, 2)]
    assert (bool(window.is_wrong(CPU)), window.first_wrong().batch_idx) == (True, 1)


def test_buffers_are_restored():
    module = nn.BatchNorm1d(2)
    window = StepWindow(module)
    module(torch.full((3, 2), torch.nan))
    window.restore()
    assert (module.running_mean.tolist(), module.num_batches_tracked.item()) == ([0.0, 0.0], 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_is_wrong(dtype, value):
    gradients = [torch.ones(3, dtype=dtype), torch.tensor([1.0, value], dtype=dtype)]
    assert bool(are_wrong(gradients, CPU))
    assert not bool(are_wrong([*gradients[:1], torch.ones(2, dtype=torch.float32)], CPU))


def test_a_norm_in_half_precision_is_not_beyond_its_range():
    assert not bool(are_wrong([torch.full((10_000,), 6e4, dtype=torch.float16)], CPU))


def test_finite_gradients_with_an_infinite_norm_are_wrong():
    gradient = torch.full((2,), 1e30, dtype=torch.float32)
    assert bool(are_wrong([gradient], CPU))
    found = finding_in_gradients([("fine", with_gradient(torch.ones(1))), ("weight", with_gradient(gradient))])
    assert (found.what, found.kind) == (
        "The gradient of `weight`",
        "numbers whose norm is beyond the range of floats",
    )


def test_no_gradient_is_not_wrong():
    assert not bool(are_wrong([], CPU))
    assert finding_in_gradients([("a", nn.Parameter(torch.zeros(1)))]).what == "The gradient"


@pytest.mark.parametrize(("value", "kind"), [(torch.nan, "NaN"), (-torch.inf, "inf")])
def test_the_kind_of_a_gradient_is_named(value, kind):
    assert finding_in_gradients([("a", with_gradient(torch.tensor([value])))]).kind == kind


def test_sparse_gradients_are_read():
    embedding = nn.Embedding(4, 2, sparse=True)
    (embedding(torch.tensor([1])) * torch.nan).sum().backward()
    optimizer = torch.optim.SGD(embedding.parameters(), lr=1.0)
    assert bool(are_wrong(gradients_of(optimizer), CPU))


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_a_step_without_gradients_changes_nothing(kind):
    parameter = with_gradient(torch.ones(2))
    optimizer = kind([parameter], lr=0.1, weight_decay=0.1)
    optimizer.step()
    before = (parameter.detach().clone(), str(optimizer.state_dict()))
    drop_gradients(optimizer, is_scaled=False)
    optimizer.step()
    assert torch.equal(parameter, before[0])
    assert str(optimizer.state_dict()) == before[1]


def test_a_scaler_passes_over_gradients_that_are_still_scaled():
    parameter = with_gradient(torch.ones(2))
    drop_gradients(torch.optim.SGD([parameter], lr=0.1), is_scaled=True)
    assert parameter.grad.isnan().all()
