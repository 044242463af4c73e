import pytest
import torch
import torch.distributed as dist

from lightning_abkd.losses import AdaptiveKL, AlphaBetaDivergence, ForwardKL, OutputHead, compare_with_head, head_loss
from lightning_abkd.losses.hidden import _head_loss
from tests._processes import on_ranks
from tests._shards import collectives, error, ranks, spread, whole

N, V, D = 6, 5, 3
# Where hidden states, the student's output layer and the teacher's are split; None is whole on each rank.
CASES = [
    (None, 0, 0),
    (None, 0, None),
    (None, None, 0),
    (0, 0, 0),
    (0, None, None),
]
DIVERGENCE = AlphaBetaDivergence(0.2, 0.7, temperature=2.0, scale_by_temperature=True)


def tensors(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = [(N, D), (V, D), (V,), (N, D + 1), (V, D + 1)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def loss_and_gradients(hidden, weight, bias, teacher_hidden, teacher_weight):
    """Terms and gradients of a loss whose gradient is tripled, after an earlier one of the same parameters."""
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    head, teacher = OutputHead(weight, bias, scale=0.5, softcap=30.0), OutputHead(teacher_weight)
    for factor in (2.0, 1.0):
        compare = compare_with_head(teacher_hidden, teacher)
        terms = head_loss(hidden, head, torch.arange(N) % V, compare, DIVERGENCE, 0.5, 2.0)
        (terms.loss * factor).backward()
    return [*terms, *(whole(leaf.grad) for leaf in leaves)]


def largest_error(mesh, case, dtype):
    expected = loss_and_gradients(*tensors(dtype))
    tokens, student, teacher = ((dim,) if mesh.ndim == 1 else dim for dim in case)
    dims = [tokens, student, student, tokens, teacher]
    found = loss_and_gradients(*(spread(x, mesh, *dim) for x, dim in zip(tensors(dtype), dims, strict=True)))
    return max(error(a, b) for a, b in zip(found, expected, strict=True))


def counted(mesh):
    hidden, weight, _, teacher_hidden, teacher_weight = tensors(torch.float32)
    weight, teacher_weight = spread(weight, mesh, 0).requires_grad_(), spread(teacher_weight, mesh, 0)
    compare = compare_with_head(teacher_hidden, OutputHead(teacher_weight))
    with collectives() as found:
        loss = head_loss(hidden.requires_grad_(), OutputHead(weight), None, compare, ForwardKL()).loss
        loss.backward()
    return found


def refusal(mesh):
    hidden, weight = tensors(torch.float32)[:2]
    head = OutputHead(spread(weight, mesh, 0))
    with pytest.raises(ValueError, match="AdaptiveKL needs all classes of a row on one process") as error:
        head_loss(hidden, head, None, compare_with_head(hidden, head), AdaptiveKL())
    return str(error.value)


def whole_logits(mesh):
    """Logits of a split head, of the same without the last row, and of a split teacher next to them."""
    hidden, weight, bias, *_ = tensors(torch.float64)
    head, split = (
        OutputHead(weight, bias, 0.5, 30.0),
        OutputHead(spread(weight, mesh, 0), spread(bias, mesh, 0), 0.5, 30.0),
    )
    student = split.logits(hidden)
    pairs = [(student, head.logits(hidden)), (split.cut(V - 1).logits(hidden), head.cut(V - 1).logits(hidden))]
    pairs.append((compare_with_head(hidden, split)(student[:2], slice(0, 2))[1], head.logits(hidden[:2])))
    return max(error(whole(a), b) for a, b in pairs)


def findings():
    _head_loss._CHUNK_ELEMENTS["cpu"] = 2 * V
    found = {}
    with ranks() as mesh:
        for dtype in (torch.float64, torch.float32):
            found[dtype] = max(largest_error(mesh, case, dtype) for case in CASES)
        if mesh.size() == 4:
            square = dist.init_device_mesh("cpu", (2, 2))
            found["square"] = largest_error(square, [(0, None), (None, 0), (None, 0)], torch.float64)
        _head_loss._CHUNK_ELEMENTS["cpu"] = N * V
        found |= {"counted": counted(mesh), "refusal": refusal(mesh), "logits": whole_logits(mesh)}
    return found


@pytest.fixture(scope="module", params=[2, 4])
def found(request):
    return on_ranks(findings, request.param)


def test_losses_and_gradients_are_those_of_one_process(found):
    assert max(one[torch.float64] for one in found) < 1e-12
    assert max(one[torch.float32] for one in found) < 2e-6


def test_tokens_and_classes_may_be_split_over_a_mesh_of_two_dimensions(found):
    assert max(one.get("square", 0.0) for one in found) < 1e-12


def test_rows_are_told_and_the_gradient_of_hidden_states_is_summed(found):
    assert found[0]["counted"] == [("allreduce_", 2 * N)] * 3 + [("all_reduce", N * D)]


def test_a_divergence_that_needs_whole_rows_says_so(found):
    assert "an output layer whose rows are split" in found[0]["refusal"]


def test_a_split_head_computes_split_logits(found):
    assert max(one["logits"] for one in found) < 1e-12
