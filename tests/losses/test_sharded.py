import pytest
import torch
import torch.distributed as dist

import lightning_abkd.losses as losses
from tests._processes import on_ranks
from tests._shards import LIMITS, collectives, error, ranks, spread, whole

ADDITIVE = [
    "AlphaDivergence",
    "BetaDivergence",
    "ForwardKL",
    "Hellinger",
    "JensenShannon",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "SymmetricKL",
    "TotalVariation",
]
# Where the dimensions of student and teacher lie: 2 holds the classes, None keeps all on each rank.
CLASSES = [(2, 2), (2, None), (None, 2)]
POSITIONS = [(1, 1), (1, None), (0, 0), (None, None)]
MASK = torch.tensor([[True, True, False, True, True], [False, True, True, True, False]])


def logits():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 5, 7, generator=generator, dtype=torch.float64) * 3 for _ in range(2)]


def gradient_of(loss, student, teacher, mask=MASK):
    value = loss(student, teacher, mask)
    weights = torch.linspace(0.5, 2.0, value.numel(), dtype=torch.float64).view(value.shape)
    value = whole(value)
    (value * weights).sum().backward()
    return value, whole(student.grad)


def distance(loss, mesh, dims, mask=MASK):
    student, teacher = logits()
    expected = gradient_of(loss, student.clone().requires_grad_(), teacher, mask)
    parts = [spread(x, mesh, dim) for x, dim in zip((student, teacher), dims, strict=True)]
    found = gradient_of(loss, parts[0].requires_grad_(), parts[1], mask)
    return max(error(a, b) for a, b in zip(found, expected, strict=True))


def additive(mesh):
    found = [losses.AlphaBetaDivergence(*point) for point in LIMITS]
    found += [getattr(losses, name)(temperature=2.0, scale_by_temperature=True) for name in ADDITIVE]
    return max(distance(loss, mesh, (2, 2)) for loss in found)


def reduced(mesh):
    point = (0.2, 0.7, 2.0)
    cases = [(losses.AlphaBetaDivergence(*point, reduction="none"), MASK)]
    cases += [(losses.AlphaBetaDivergence(*point, reduction="sum"), None)]
    return max(distance(loss, mesh, dims, mask) for loss, mask in cases for dims in CLASSES + POSITIONS)


def rowwise(mesh):
    rules = losses.TokenwiseAlphaBeta(losses.TeacherUncertainty(), 0.0, 1.0, 1.0, 0.0)
    found = [rules, losses.AdaptiveKL(), losses.TAID(10).eval()]
    return max(distance(loss, mesh, dims) for loss in found for dims in POSITIONS)


def plain(mesh):
    """Logits that are tensors without DTensor, whole, next to sharded ones of the other network."""
    student, teacher = logits()
    loss = losses.AlphaBetaDivergence(0.2, 0.7)
    expected = gradient_of(loss, student.clone().requires_grad_(), teacher)
    found = [gradient_of(loss, student.clone().requires_grad_(), spread(teacher, mesh, 2))]
    found.append(gradient_of(loss, spread(student, mesh, 2).requires_grad_(), teacher))
    return max(error(a, b) for pair in found for a, b in zip(pair, expected, strict=True))


def square():
    """Positions over one dimension of a mesh, classes over the other."""
    mesh = dist.init_device_mesh("cpu", (2, 2))
    student, teacher = logits()
    loss = losses.AlphaBetaDivergence(0.2, 0.7)
    expected = gradient_of(loss, student.clone().requires_grad_(), teacher)
    found = gradient_of(loss, spread(student, mesh, 1, 2).requires_grad_(), spread(teacher, mesh, 1, 2))
    return max(error(a, b) for a, b in zip(found, expected, strict=True))


def told(mesh, *dims):
    """What one loss and its gradient tell other processes."""
    student, teacher = (spread(x, mesh, dim) for x, dim in zip(logits(), dims, strict=True))
    loss = losses.AlphaBetaDivergence(0.2, 0.7)
    with collectives() as found:
        loss(student.requires_grad_(), teacher, MASK).backward()
    return found


def evaluated(mesh):
    """Several divergences together, one of which needs whole rows, and the entropies."""
    pair = {"adaptive": losses.AdaptiveKL(), "α-β": losses.AlphaBetaDivergence(0.2, 0.7, 2.0)}
    student, teacher = logits()
    expected = losses.evaluate_divergences(pair, student, teacher, MASK)
    errors = []
    for dims in [*CLASSES, (1, 1)]:
        parts = [x if dim is None else spread(x, mesh, dim) for x, dim in zip((student, teacher), dims, strict=True)]
        found = losses.evaluate_divergences(pair, *parts, MASK)
        errors += [error(found.divergences[name], expected.divergences[name]) for name in pair]
        errors += [error(found.student_entropy, expected.student_entropy)]
    return max(errors)


def refusals(mesh):
    """What losses say to logits whose classes are split, and how far they are from their own value if they say nothing.

    Losses of labels, masks and views get all of them.
    """
    whole_logits = dict(zip(("student_logits", "teacher_logits"), logits(), strict=True))
    whole_logits |= {f"{name}_strong": x for name, x in whole_logits.items()}
    split = {name: spread(x, mesh, 2) for name, x in whole_logits.items()}
    others = {"labels": torch.zeros(2, 5, dtype=torch.long), "mask": MASK}
    return {
        type(loss).__name__: refusal(loss, split | others, whole_logits | others)
        for loss in (
            losses.AdaptiveKL(),
            losses.EntropyWeightedKL(),
            losses.TAID(10),
            losses.TokenwiseAlphaBeta(losses.TopOneAgreement(), 0.0, 1.0, 1.0, 0.0),
            losses.DKD(),
            losses.DIST(),
            losses.MLKD(),
            losses.LSD(),
            losses.TTM(),
            losses.WTTM(),
            losses.AdaptiveAlphaDivergence(),
        )
    }


def refusal(loss, signals, expected):
    try:
        value = losses.loss_terms(loss, signals)["divergence"][1]
        return error(whole(value), losses.loss_terms(loss, expected)["divergence"][1])
    except ValueError as reason:
        return str(reason)


def everything():
    with ranks() as mesh:
        found = {check.__name__: check(mesh) for check in (additive, reduced, rowwise, plain, evaluated, refusals)}
        found["told"] = told(mesh, 2, 2), told(mesh, 1, 1)
    return found


def on_four():
    with ranks() as mesh:
        return {"additive": additive(mesh), "plain": plain(mesh), "square": square()}


@pytest.fixture(scope="module")
def found():
    return on_ranks(everything, 2)


@pytest.mark.parametrize("check", ["additive", "reduced", "rowwise", "plain", "evaluated"])
def test_losses_and_gradients_are_those_of_one_process(found, check):
    assert max(one[check] for one in found) < 1e-12


def test_four_processes_agree_too():
    assert max(max(one.values()) for one in on_ranks(on_four, 4)) < 1e-12


def test_logits_are_never_gathered(found):
    assert all(one["told"][0] == [("allreduce_", 14)] * 3 for one in found)


def test_of_sharded_positions_the_sum_and_the_count_are_told(found):
    assert all(one["told"][1] == [("allreduce_", 1)] * 2 for one in found)


def test_losses_that_need_whole_rows_say_so(found):
    refused = found[0]["refusals"]
    assert refused.pop("TTM") < 1e-12
    for name, message in refused.items():
        assert "needs all classes of a row on one process" in str(message), (name, message)
        assert "Gather them first (`full_tensor()`)" in message
