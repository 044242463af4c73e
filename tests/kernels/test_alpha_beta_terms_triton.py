import itertools

import pytest
import torch

from lightning_abkd.losses import AlphaBetaDivergence
from tests.kernels._triton import DEVICE, needs_triton

pytestmark = needs_triton
# Every order of the nodes 0, α and α + β, and each two of them equal.
POINTS = [(1.0, 2.0), (-1.0, -0.5), (1.0, -0.4), (1.0, -1.5), (-1.0, 0.4), (-1.0, 1.5), (1.0, -1.0), (-1.0, 1.0)]


@pytest.mark.parametrize("point", POINTS)
def test_every_order_of_the_nodes_gives_what_eager_gives(point):
    student, teacher = (torch.tensor(x, device=DEVICE) for x in ([[0.0, -3.0, 2.0]], [[1.0, 1.0, -5.0]]))
    results = []
    for backend in ("triton", "eager"):
        z, y = student.clone().requires_grad_(), teacher.clone().requires_grad_()
        value = AlphaBetaDivergence(*point, backend=backend)(z, y)
        results.append((value.detach(), *torch.autograd.grad(value, (z, y))))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_tiny_exponent_keeps_its_gap_to_a_large_one():
    student, teacher = torch.tensor([[-torch.inf, 1.0]], device=DEVICE), torch.tensor([[2.0, 1.0]], device=DEVICE)
    value = AlphaBetaDivergence(1.0, 1e-7, backend="triton")(student, teacher)
    # p^s/(β s) of the class that the student excludes
    torch.testing.assert_close(value.cpu(), teacher.cpu().softmax(-1)[0, 0] * 1e7)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_masked_classes_have_neither_value_nor_gradient():
    student, teacher = (torch.tensor([[x, 1.0, torch.finfo(torch.float32).min]], device=DEVICE) for x in (0.0, 9.0))
    for point in itertools.product((0.0, -1.0, 0.5), repeat=2):
        z = student.clone().requires_grad_()
        value = AlphaBetaDivergence(*point, backend="triton")(z, teacher)
        value.backward()
        torch.testing.assert_close(value, AlphaBetaDivergence(*point, backend="triton")(z[:, :2], teacher[:, :2]))
        assert z.grad[0, 2] == 0.0
