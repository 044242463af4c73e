import pytest
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from lightning_abkd.kernels import alpha_beta_from_logits, runs_triton
from lightning_abkd.kernels._alpha_beta_op import alpha_beta_op
from tests.kernels._triton import DEVICE, eager, needs_triton, poisoned, rows

pytestmark = [needs_triton, pytest.mark.usefixtures("poisoned")]
__all__ = ["poisoned"]


def pair(dtype=torch.float32):
    return rows(3, 40, dtype=dtype), rows(3, 40, seed=1, dtype=dtype)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_passes_the_checks_of_torch():
    student, teacher = pair()
    numbers = (torch.full((3,), x, device=DEVICE) for x in (0.2, 0.7, 1.0))
    torch.library.opcheck(alpha_beta_op, (student, teacher, *numbers, None, True, False, False))


def test_every_row_has_its_own_upstream_factor():
    student, teacher = pair()
    factor = torch.tensor([1.0, 0.0, -3.0], device=DEVICE)
    gradients = torch.autograd.grad(alpha_beta_from_logits(student, teacher, 0.2, 0.7), (student, teacher), factor)
    for ours, exact in zip(gradients, eager(student, teacher, 0.2, 0.7)[1:], strict=True):
        torch.testing.assert_close(ours.double(), exact * factor.unsqueeze(-1), rtol=1e-5, atol=1e-6)


def test_the_factor_joins_before_rounding_to_float16():
    student, teacher = pair(torch.float16)
    (small,) = torch.autograd.grad(1e-6 * alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum(), student)
    (scaled,) = torch.autograd.grad(65536 * 1e-6 * alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum(), student)
    exact = 65536 * 1e-6 * eager(student, teacher, 0.2, 0.7)[1]
    torch.testing.assert_close(scaled.double(), exact, rtol=1e-2, atol=1e-6)
    assert (scaled != 0).sum() > (small != 0).sum()


def test_second_backward_pass_gives_the_same_gradient():
    student, teacher = pair()
    loss = alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum()
    first, second = (torch.autograd.grad(loss, (student, teacher), retain_graph=True) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    loss.backward()
    alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum().backward()
    torch.testing.assert_close(student.grad, 2 * first[0])


def test_nothing_of_the_logits_size_is_kept():
    student, teacher = pair()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        alpha_beta_from_logits(student, teacher, 0.2, 0.7)
    large = {x.data_ptr() for x in kept if x.numel() >= student.numel()}
    assert large == {student.data_ptr(), teacher.data_ptr()}


@pytest.mark.skipif(DEVICE == "cpu", reason="a CPU waits for nothing")
def test_nothing_waits_for_the_device():
    (student, teacher), alpha = pair(), torch.tensor(0.2, device=DEVICE)
    alpha_beta_from_logits(student, teacher, alpha, 0.7).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        alpha_beta_from_logits(student, teacher, alpha, 0.7).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_second_derivatives_are_refused():
    student, teacher = pair()
    value = alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum()
    (gradient,) = torch.autograd.grad(value, student, create_graph=True)
    with pytest.raises(RuntimeError, match="Second derivatives of the α-β-divergence are not available"):
        gradient.sum().backward()


def test_gradient_may_lie_over_the_students_logits():
    leaf, teacher = pair(torch.bfloat16)
    expected = torch.autograd.grad(alpha_beta_from_logits(leaf, teacher, 0.2, 0.7).sum(), (leaf, teacher))
    student = leaf * 1.0
    places = []
    student.register_hook(lambda gradient: places.append(gradient.data_ptr()))
    loss = alpha_beta_from_logits(student, teacher, 0.2, 0.7, inplace=True).sum()
    loss.backward(retain_graph=True)
    torch.testing.assert_close((leaf.grad, teacher.grad), expected)
    assert places == [student.data_ptr()]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_logits_that_share_memory_are_not_overwritten():
    with pytest.raises(ValueError, match="memory of their own"):
        alpha_beta_from_logits(rows(1, 5).expand(3, -1), rows(3, 5), 0.2, 0.7, inplace=True)


@pytest.mark.parametrize("inplace", [False, True])
def test_compiles_without_a_break_and_once_for_all_exponents(inplace):
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, examples)

    @torch.compile(fullgraph=True, backend=backend)
    def loss(student, teacher, alpha, beta):
        return alpha_beta_from_logits(student * 1.0, teacher, alpha, beta, 2.0, inplace=inplace).sum()

    student, teacher = pair()
    for alpha, beta in ((0.2, 0.7), (1.0, 0.0), (0.0, 0.3)):
        value = loss(student, teacher.detach(), *(torch.tensor(x, device=DEVICE) for x in (alpha, beta)))
        exact, slope, _ = eager(student, teacher, alpha, beta, 2.0)
        torch.testing.assert_close(value.double(), exact.sum(), rtol=1e-5, atol=0)
        (gradient,) = torch.autograd.grad(value, student)
        torch.testing.assert_close(gradient.double(), slope, rtol=1e-5, atol=1e-6)
    assert len(graphs) == 1


def test_works_under_checkpointing_and_autocast():
    student, teacher = pair()
    expected = torch.autograd.grad(alpha_beta_from_logits(student, teacher, 0.2, 0.7).sum(), student)
    with torch.autocast(DEVICE, torch.bfloat16):
        value = checkpoint(alpha_beta_from_logits, student, teacher, 0.2, 0.7, use_reentrant=False)
        assert value.dtype == torch.float32
    torch.testing.assert_close(torch.autograd.grad(value.sum(), student), expected)


def test_works_with_distributed_data_parallel(tmp_path):
    student, teacher = pair()
    network = torch.nn.Linear(40, 40, device=DEVICE)
    expected = torch.autograd.grad(alpha_beta_from_logits(network(student), teacher, 0.2, 0.7).sum(), network.weight)
    backend = "gloo" if DEVICE == "cpu" else "nccl"
    torch.distributed.init_process_group(backend, f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        alpha_beta_from_logits(DistributedDataParallel(network)(student), teacher, 0.2, 0.7).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(network.weight.grad, expected[0])


def test_says_where_triton_does_not_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not runs_triton(torch.device("cpu"))
    with pytest.raises(RuntimeError, match="should run on a GPU"):
        alpha_beta_from_logits(torch.zeros(1, 2), torch.zeros(1, 2), 0.2, 0.7)
