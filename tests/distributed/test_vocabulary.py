import pytest
import torch
import torch.distributed as dist

from lightning_abkd.distributed import alpha_beta_from_shards, divergence_from_shards
from lightning_abkd.functional import alpha_beta_divergence, jensen_shannon
from tests._processes import on_ranks
from tests._shards import LIMITS, collectives, error, ranks, spread
from tests._vectors import ALPHA_BETA

TOLERANCES = {"float64": 1e-12, "float32": 1e-6, "bfloat16": 1e-2}
T = 2.0


def logits(classes, dtype):
    """Rows with a class at -inf on both sides, and a row whose sides are equal."""
    generator = torch.Generator().manual_seed(classes)
    student, teacher = (torch.randn(3, 4, classes, generator=generator, dtype=torch.float64) * 4 for _ in range(2))
    student[0, 0, 1] = teacher[0, 0, 1] = -torch.inf
    student[0, 1] = teacher[0, 1]
    return student.to(getattr(torch, dtype)), teacher.to(getattr(torch, dtype))


def backward(values, *leaves):
    weights = torch.linspace(0.5, 1.5, values.numel(), dtype=values.dtype).view(values.shape)
    (values * weights).sum().backward()
    return [values, *(leaf.grad for leaf in leaves)]


def expected(student, teacher, alpha, beta):
    leaves = [x.clone().requires_grad_() for x in (student, teacher)]
    log_q, log_p = ((x.to(torch.promote_types(x.dtype, torch.float32)) / T).log_softmax(-1) for x in leaves)
    return backward(alpha_beta_divergence(log_p, log_q, alpha, beta), *leaves)


def from_shards(student, teacher, alpha, beta, mesh):
    leaves = [spread(x, mesh, -1).to_local().requires_grad_() for x in (student, teacher)]
    return backward(alpha_beta_from_shards(*leaves, alpha, beta, T, [mesh.get_group()]), *leaves)


def largest_errors():
    """Largest error of values and both gradients by dtype, and that of values against 50-digit arithmetic."""
    found = {}
    with ranks() as mesh:
        for dtype in TOLERANCES:
            for classes in (5, 7):
                student, teacher = logits(classes, dtype)
                for point in LIMITS:
                    ours, theirs = from_shards(student, teacher, *point, mesh), expected(student, teacher, *point)
                    theirs[1:] = [spread(x, mesh, -1).to_local() for x in theirs[1:]]
                    errors = [error(a, b) for a, b in zip(ours, theirs, strict=True)]
                    found[dtype] = max(found.get(dtype, 0.0), *errors)
        found["reference"] = max(reference_error(case, mesh) for case in ALPHA_BETA)
        found["collectives"] = counted(mesh)
    return found


def reference_error(case, mesh):
    names = ("student_logits", "teacher_logits")
    student, teacher = (spread(torch.tensor(case[x], dtype=torch.float64), mesh, 0).to_local() for x in names)
    groups = [mesh.get_group()]
    value = alpha_beta_from_shards(student, teacher, case["alpha"], case["beta"], case["temperature"], groups)
    return abs(value.item() - case["value"]) / max(1.0, case["value"])


def counted(mesh):
    student, teacher = (spread(x, mesh, -1).to_local() for x in logits(64, "float32"))
    with collectives() as found:
        alpha_beta_from_shards(student.requires_grad_(), teacher, 0.2, 0.7, T, [mesh.get_group()]).sum().backward()
    return found


@pytest.fixture(scope="module", params=[2, 4])
def found(request):
    return on_ranks(largest_errors, request.param)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_are_those_of_one_process_at_every_limit(found, dtype):
    assert max(errors[dtype] for errors in found) < TOLERANCES[dtype]


def test_values_are_those_of_exact_arithmetic(found):
    assert max(errors["reference"] for errors in found) < 1e-12


def test_three_all_reduces_of_two_numbers_a_row(found):
    assert [errors["collectives"] for errors in found] == [[("allreduce_", 24)] * 3] * len(found)


def test_masked_rows_are_not_read():
    student, teacher = logits(5, "float64")
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2] = False
    student[1, 2] = torch.nan
    leaf = student.requires_grad_()
    values = divergence_from_shards(leaf, teacher, jensen_shannon, T, mask=mask)
    values.sum().backward()
    assert values[1, 2] == 0
    assert not leaf.grad[1, 2].any()
    assert values[mask].isfinite().all()


def test_no_row_counts():
    leaf = torch.randn(2, 5, requires_grad=True)
    divergence_from_shards(leaf, leaf.detach(), jensen_shannon, mask=torch.zeros(2, dtype=torch.bool)).sum().backward()
    assert not leaf.grad.any()


def test_a_gradient_too_small_for_float16_is_scaled_before_it_is_rounded():
    student = torch.tensor([[0.0, 0.0, 12.0]], dtype=torch.float16, requires_grad=True)
    (alpha_beta_from_shards(student, torch.zeros_like(student), 1.0, 2.0) * 2.0**16).sum().backward()
    assert student.grad.dtype == torch.float16
    assert (student.grad[0, :2] != 0).all()


def test_shards_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="same shape.*same classes"):
        alpha_beta_from_shards(torch.zeros(2, 3), torch.zeros(2, 4), 1.0, 0.0)


def test_a_group_of_one_holds_all_classes():
    assert not dist.is_initialized()
    student, teacher = logits(7, "float64")
    values = alpha_beta_from_shards(student, teacher, 0.2, 0.7, T)
    torch.testing.assert_close(values, expected(student, teacher, 0.2, 0.7)[0].detach())
